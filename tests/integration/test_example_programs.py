"""The programs in `plugins/examples`: each does what its action in `streamer.yaml` promises."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "plugins" / "examples"


def count(payload):
    done = subprocess.run(
        [EXAMPLES / "word_count.py"], input=json.dumps(payload), capture_output=True, text=True, check=True, timeout=30
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def quotes():
    """Asks the running quote service; returns status and body."""
    program = [sys.executable, str(EXAMPLES / "quote_service.py"), "--port", "0"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
        url = service.stdout.readline().strip()

        def ask(body, path=""):
            request = urllib.request.Request(url + path, body if isinstance(body, bytes) else json.dumps(body).encode())
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return answer.status, json.load(answer)
            except urllib.error.HTTPError as wrong:
                with wrong:
                    return wrong.code, json.load(wrong)

        yield ask
        service.terminate()


def test_word_count_counts_with_progress_and_one_result():
    *progress, last = count({"text": "One two.\nTwo don't\n" * 20, "most": 1})
    assert last == {"result": {"lines": 40, "words": 80, "different": 3, "most": [{"word": "two", "count": 40}]}}
    assert [line["progress"] for line in progress] == [10.0 * step for step in range(1, 11)]


def test_word_count_of_nothing_is_nothing():
    assert count({"text": ""}) == [{"result": {"lines": 0, "words": 0, "different": 0, "most": []}}]


@pytest.mark.parametrize("payload", [None, [], {}, {"text": 5}])
def test_word_count_refuses_what_is_no_text(payload):
    (line,) = count(payload)
    assert line["error"]["code"] == "VALIDATION_ERROR"


def test_a_quote_takes_the_fee_and_then_the_rate(quotes):
    assert quotes({"amount": "100.00", "from": "USD", "to": "EUR"}) == (
        200,
        {"from": "USD", "to": "EUR", "amount": "100.00", "rate": "0.920000", "fee": "0.45", "result": "91.59"},
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"amount": "1", "from": "USD", "to": "XXX"}, 404, "NOT_FOUND"),
        ({"amount": "-1", "from": "USD", "to": "EUR"}, 400, "VALIDATION_ERROR"),
        ({"amount": "NaN", "from": "USD", "to": "EUR"}, 400, "VALIDATION_ERROR"),
        ({"amount": "much", "from": "USD", "to": "EUR"}, 400, "VALIDATION_ERROR"),
        ([], 400, "VALIDATION_ERROR"),
        (b"{", 400, "VALIDATION_ERROR"),
        (b"x" * 70_000, 400, "VALIDATION_ERROR"),
    ],
)
def test_a_wrong_quote_is_refused_with_status_and_code(quotes, body, status, code):
    answered, answer = quotes(body)
    assert (answered, answer["error"]["code"]) == (status, code)


def test_another_path_is_not_found(quotes):
    assert quotes({}, "/other")[0] == 404


@pytest.mark.parametrize("name", ["create_user", "generate_report", "report", "process_data", "bulk_operation"])
def test_the_schemas_of_the_repositorys_file_are_those_that_the_demo_brings(name):
    ours = ROOT / "schemas" / f"{name}.json"
    brought = ROOT / "plugins" / "demo" / "streamer_demo" / "schemas" / f"{name}.json"
    assert ours.read_bytes() == brought.read_bytes()
