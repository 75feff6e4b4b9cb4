"""The repository's own `streamer.yaml`, served for real: every action that it declares answers."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAYLOADS = {
    "echo": {"hello": "world"},
    "create_user": {"name": "Ada", "email": "ada@example.com"},
    "process_data": {"csv": "id,email,created_at,amount,currency\n1,a@b.de,2024-03-01,1.5,EUR\n2,x,y,1,EUR\n"},
    "bulk_operation": {"operation": "archive", "items": [{"id": "pay_000001"}, {"id": "nobody"}]},
    "word_count": {"text": "one two two"},
    "quote": {"amount": "100.00", "from": "USD", "to": "EUR"},
}


@pytest.fixture
def call(start_service, tmp_path):
    """Calls an action of the running service; returns every message of the service, the outcome last."""
    program = [sys.executable, str(ROOT / "plugins" / "examples" / "quote_service.py"), "--port", "0"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as quotes:
        for folder in ("schemas", "plugins/examples"):
            shutil.copytree(ROOT / folder, tmp_path / folder)
        # The file as it is, on a free port and with fewer payments to make.
        text = re.sub(r"port: \d+", "port: 0", (ROOT / "streamer.yaml").read_text())
        text = text.replace("batch_size: 100}", "batch_size: 100, records: 500}").replace(
            "{delay: 6s}", "{delay: 10ms}"
        )
        text = text.replace("output_dir: ./reports}", "output_dir: ./reports, records: 500}")
        service = start_service(text, QUOTE_URL=quotes.stdout.readline().strip())

        def run(action, payload):
            command = [
                sys.executable,
                "-m",
                "streamer",
                "call",
                "--json",
                "--url",
                service.url,
                action,
                json.dumps(payload),
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=os.environ)
            assert done.stdout, done.stderr
            return [json.loads(line) for line in done.stdout.splitlines()]

        yield run
        quotes.kill()


def test_every_action_of_the_file_answers(call):
    outcomes = {action: call(action, payload)[-1] for action, payload in PAYLOADS.items()}
    outcomes["delay"] = call("delay", None)[-1]
    assert {action: outcome["success"] for action, outcome in outcomes.items()} == dict.fromkeys(outcomes, True)
    assert outcomes["quote"]["data"]["result"] == "91.59"
    assert outcomes["word_count"]["data"]["words"] == 3
    assert outcomes["process_data"]["result"]["refused"] == 1
    assert [failure["code"] for failure in outcomes["bulk_operation"]["result"]["failures"]] == ["NOT_FOUND"]


def test_a_report_is_acknowledged_shows_progress_and_ends_with_files_that_are_there(call, tmp_path):
    acknowledged, *progress, complete = call("generate_report", {"group_by": "week"})
    assert acknowledged["type"] == "acknowledgment"
    assert {message["type"] for message in progress} == {"progress"}
    percentages = [message["percentage"] for message in progress]
    assert percentages == sorted(percentages)
    assert (percentages[0], percentages[-1]) == (0, 100)
    files = [Path(path) for path in complete["result"]["files"].values()]
    assert all(path.is_relative_to(tmp_path / "reports") and path.stat().st_size for path in files)


def test_wrong_payloads_are_told_with_every_violation(call):
    (refused,) = call("create_user", {"name": "", "email": "x"})
    assert [error["path"] for error in refused["error"]["details"]["errors"]] == ["/name", "/email"]
