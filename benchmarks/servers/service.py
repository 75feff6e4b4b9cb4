"""This service, started as its users start it: `python -m streamer run --config …`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from benchmarks.message import SCHEMA

PLUGIN = Path(__file__).resolve().parents[1] / "plugin"

CONFIG = """\
version: 1
service:
  name: benchmark
server:
  host: 127.0.0.1
  port: {port}
backends:
  store: {{use: sqlite, path: ./benchmark.db}}
logs:
  level: warning
admin: {{enabled: {metrics}, port: 0}}
actions:
  echo:
    handler: echo
    mode: sync
    schema: {schema}
  lifecycle:
    handler: bench.lifecycle
    mode: async
    schema: {schema}
"""


def prepare(folder: Path, port: int, *, metrics: bool = False) -> tuple[list[str], dict[str, str]]:
    """Writes the file and the plugin's announcement. Returns the command and its environment."""
    config = folder / "streamer.yaml"
    config.write_text(CONFIG.format(port=port, schema=json.dumps(SCHEMA), metrics=json.dumps(metrics)))
    # What pip would write on an installation of the plugin, so that the service finds it through its entry point.
    announced = folder / "site" / "streamer_bench-1.0.dist-info"
    announced.mkdir(parents=True)
    (announced / "METADATA").write_text("Metadata-Version: 2.1\nName: streamer-bench\nVersion: 1.0\n")
    (announced / "entry_points.txt").write_text("[streamer]\nbench = streamer_bench\n")
    paths = [str(announced.parent), str(PLUGIN), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return [sys.executable, "-m", "streamer", "run", "--config", str(config)], environment
