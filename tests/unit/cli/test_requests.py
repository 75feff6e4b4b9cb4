"""`streamer requests` on a real file: the dead letters, what became of them, and running them again."""

from __future__ import annotations

import asyncio
import json

import pytest
from click.testing import CliRunner

from streamer.cli.app import app
from streamer.cli.requests import _ago
from streamer.contracts.stores import Lease
from streamer.core.clock import SystemClock
from streamer.core.messages import ErrorBody
from streamer.core.principal import Principal
from streamer.stores.sqlite import SqliteStore
from streamer.testing import ManualClock
from streamer.testing.conformance import record

CONFIG = """\
version: 1
backends: {store: {use: sqlite, path: ./queue.db}}
actions: {echo: {handler: echo, estimated_duration: 10ms}}
"""
BUSY = ErrorBody("BUSY", "the printer is\nbusy", retryable=True)
PRINCIPAL = Principal(user_id="ann", tenant_id="acme")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "streamer.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def letters(folder):
    """A file with one request that failed twice three hours ago, one that waited too long, and one that waits."""

    async def prepare():
        clock = ManualClock(SystemClock.now() - 3 * 3600 - 60)
        store = await SqliteStore.open(folder / "queue.db", clock=clock)
        payload = b'"' + b"p" * 100_000 + b'"'
        await store.enqueue(
            record(clock, "broken", payload=payload, max_attempts=2, principal=PRINCIPAL, owner=PRINCIPAL.owner)
        )
        for worker, retry_at in (("w1", clock.now()), ("w2", None)):
            (one,) = (await store.claim(worker, 1, 30.0)).records
            await store.fail(Lease(one.owner, one.id, one.fence), seq=1, error=BUSY, retry_at=retry_at)
        await store.enqueue(record(clock, "late", expires_at=clock.now() + 60))
        await clock.advance(60)
        await store.claim("w1", 0, 30.0)
        await store.enqueue(record(clock, "waits"))
        await store.close()

    asyncio.run(prepare())


def run(*arguments):
    result = CliRunner().invoke(app, ("requests", *arguments))
    assert result.exit_code == 0, result.stderr
    return result.stdout


def test_the_dead_letters_tell_how_long_ago_after_how_many_attempts_and_why(letters):
    header, late, broken = run("list", "--status", "failed").splitlines()
    assert header.split() == ["ID", "ACTION", "FAILED", "ATTEMPTS", "ERROR", "MESSAGE"]
    assert late.split()[:6] == ["late", "work", "3h", "ago", "0/3", "TIMEOUT"]
    assert broken.split() == ["broken", "work", "3h", "ago", "2/2", "BUSY", "the", "printer", "is", "busy"]


def test_a_dead_letter_shows_each_attempt_and_who_asked(letters):
    told = json.loads(run("show", "broken"))
    assert [(one["worker"], one["outcome"], one["error"]["code"]) for one in told["history"]] == [
        ("w1", "failed", "BUSY"),
        ("w2", "failed", "BUSY"),
    ]
    assert told["principal"]["user_id"] == "ann"


def test_a_dead_letter_runs_again_with_its_whole_payload_a_new_count_and_its_history(letters):
    assert run("retry", "broken") == "broken is PENDING\n"
    told = json.loads(run("show", "broken"))
    assert (told["status"], told["attempts"], len(told["payload"]), told["error"]) == ("PENDING", 0, 100_000, None)
    assert len(told["history"]) == 2
    assert [line.split()[0] for line in run("list", "--status", "PENDING").splitlines()] == ["ID", "waits", "broken"]


def test_what_waited_too_long_may_be_run_again_and_waits_as_long_as_it_takes(letters):
    run("retry", "late")
    told = json.loads(run("show", "late"))
    assert (told["status"], told["expires_at"]) == ("PENDING", None)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-5.0, "0s ago"), (0.4, "0s ago"), (59.9, "59s ago"), (60, "1m ago"), (7199, "1h ago"), (200_000, "2d ago")],
)
def test_a_time_ago_is_told_in_its_largest_unit(seconds, told):
    assert _ago(seconds) == told
