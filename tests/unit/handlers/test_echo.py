from __future__ import annotations

from streamer.core.clock import timestamp
from streamer.handlers.echo import EchoHandler


async def test_the_payload_comes_back_with_action_and_time(request_of, clock):
    clock.time = 1767268800.123
    result = await EchoHandler(clock=clock).process(request_of({"hello": "world"}, action="echo"))
    assert result.success
    assert result.data == {"echo": {"hello": "world"}, "action": "echo", "received_at": "2026-01-01T12:00:00.123Z"}


async def test_the_payload_is_not_copied(request_of):
    payload = {"hello": ["world"]}
    assert (await EchoHandler().process(request_of(payload))).data["echo"] is payload


async def test_the_time_moves_on_with_the_clock(request_of, clock):
    echo = EchoHandler(clock=clock)
    seen = []
    for step in (0.0, 0.0001, 0.5, 60.0, 86400.0):
        clock.time += step
        seen.append(((await echo.process(request_of())).data["received_at"], timestamp(clock.time)))
    assert all(written == right for written, right in seen)
    assert len({written for written, _ in seen}) == 4


def test_its_estimate_is_ten_milliseconds():
    assert EchoHandler().estimated_duration() == 0.01
