"""Real installed distributions: dist-info folders and modules on the import path, found by importlib.metadata."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """`install("demo-plugin", {"demo": "demo_plugin"}, demo_plugin="source", version="1.2")`."""
    site = tmp_path / "site"
    site.mkdir()
    # Whoever runs the tests may have plugins of their own; only what the test installs is looked at.
    distributions = importlib.metadata.distributions
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: distributions(path=[str(site)]))
    before = set(sys.modules)
    sys.path.insert(0, str(site))

    def add(distribution: str, entry_points: dict[str, str], version: str = "1.0", **modules: str) -> None:
        folder = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [f"{name} = {value}" for name, value in entry_points.items()]
        (folder / "entry_points.txt").write_text("[streamer]\n" + "\n".join(lines) + "\n")
        for name, source in modules.items():
            (site / f"{name}.py").write_text(dedent(source))

    try:
        yield add
    finally:
        sys.path.remove(str(site))
        for name in set(sys.modules) - before:
            if str(site) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]
