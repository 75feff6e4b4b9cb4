"""The soak, shorter than by hand; and that it would see what it looks for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.soak.raw import TEXT
from benchmarks.soak.schedule import CUTS, FAULTS, schedule
from benchmarks.soak.wire import Frames, Tap, Wire

ROOT = Path(__file__).parents[2]


@pytest.mark.soak
def test_every_request_is_accounted_for_after_everything_broke(seed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.soak", "--seed", str(seed), "--minutes", "0.35", "--clients", "100"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_a_seed_breaks_the_same_things_at_the_same_times() -> None:
    first = schedule(7, 60)
    assert first == schedule(7, 60)
    assert first != schedule(8, 60)
    kinds = {fault.kind for seed in range(5) for fault in schedule(seed, 120)}
    assert kinds == {*FAULTS, *CUTS}


@pytest.fixture
def wire() -> Wire:
    made = Wire()
    made.markers |= {"one": "m1", "two": "m2"}
    return made


def hear(tap: Tap, **message: Any) -> None:
    tap.heard(json.dumps(message, separators=(",", ":")).encode())


def test_the_soak_is_content_with_a_request_that_lives_over_two_connections(wire: Wire) -> None:
    first, second = wire.connection("one"), wire.connection("one")
    first.sent(b'{"action":"nap","id":"r"}')
    hear(first, type="acknowledgment", request_id="r", seq=0)
    hear(first, type="progress", request_id="r", seq=2)
    hear(second, type="progress", request_id="r", seq=2)
    hear(second, type="complete", request_id="r", seq=5, result={"marker": "m1"}, timestamp="1")
    hear(first, type="complete", request_id="r", seq=5, result={"marker": "m1"}, timestamp="2")
    assert wire.problems == []
    assert wire.counts["acknowledged"] == 1


@pytest.mark.parametrize(
    ("messages", "words"),
    [
        ([("complete", 3), ("complete", 3)], "after its terminal message"),
        ([("complete", 3), ("progress", 4)], "after its terminal message"),
        ([("progress", 3), ("progress", 3)], "not newer"),
        ([("progress", 3), ("complete", 3)], "not newer"),
        ([("progress", 1), ("acknowledgment", 0)], "not newer"),
    ],
)
def test_the_soak_sees_a_connection_that_is_told_too_much(
    wire: Wire, messages: list[tuple[str, int]], words: str
) -> None:
    tap = wire.connection("one")
    for kind, seq in messages:
        hear(tap, type=kind, request_id="r", seq=seq)
    assert words in wire.problems[0]


def test_the_soak_sees_a_resume_that_is_told_what_it_knows(wire: Wire) -> None:
    tap = wire.connection("one")
    tap.sent(b'{"action":"streamer.resume","id":"q","payload":{"request_id":"r","after_seq":7}}')
    hear(tap, type="progress", request_id="r", seq=7)
    hear(tap, type="progress", request_id="r", seq=8)
    assert len(wire.problems) == 1
    assert "resumed after 7" in wire.problems[0]


def test_the_soak_sees_what_is_not_its_owners(wire: Wire) -> None:
    hear(wire.connection("one"), type="complete", request_id="r", seq=1, result={"marker": "m2"})
    assert "not its own" in wire.problems[0]


def test_the_soak_sees_an_outcome_that_changes_or_steps_back(wire: Wire) -> None:
    hear(wire.connection("one"), type="progress", request_id="r", seq=9)
    hear(wire.connection("one"), type="complete", request_id="r", seq=8)
    hear(wire.connection("one"), type="error", request_id="r", seq=8)
    assert "steps back" in wire.problems[0]
    assert "changed" in wire.problems[1]


@pytest.mark.parametrize("size", [0, 5, 125, 126, 70_000])
@pytest.mark.parametrize("step", [1, 3, 100_000])
def test_the_soak_reads_messages_however_the_stream_cuts_them(size: int, step: int) -> None:
    body = b"x" * size
    length = bytes([size]) if size < 126 else b"\x7e" + size.to_bytes(2) if size < 65536 else b"\x7f" + size.to_bytes(8)
    plain = bytes([TEXT]) + length + body
    masked = bytes([TEXT, length[0] | 0x80]) + length[1:] + bytes(4) + body
    ping = b"\x89\x01p"
    for frame in (plain, masked):
        stream = b"HTTP/1.1 101\r\n\r\n" + ping + frame + frame
        frames = Frames()
        read = [message for at in range(0, len(stream), step) for message in frames.feed(stream[at : at + step])]
        assert read == [body, body]
