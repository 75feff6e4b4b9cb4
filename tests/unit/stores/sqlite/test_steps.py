"""The writer killed between each pair of durable steps, under each operation: done once, and answered."""

from __future__ import annotations

import itertools

import pytest

from streamer.contracts.stores import Lease
from streamer.core.messages import ErrorBody
from streamer.stores.memory import MemoryStore
from streamer.stores.sqlite import SqliteStore
from streamer.testing.conformance import record

pytestmark = pytest.mark.service  # it starts writers of SQLite

DYING = """
    def main(channel):
        opened = writer.open_state
        send = channel.send

        def open_state(options):
            state = opened(options)
            change = state.change

            def watched(statement, *values):
                word = statement.partition(" ")[0]
                if armed(f"before {word}"):
                    die()
                answer = change(statement, *values)
                if armed(f"after {word}"):
                    die()
                return answer

            state.change = watched
            return state

        def sending(*messages):
            send(*messages)
            if armed("after the answer"):
                die()

        writer.open_state = open_state
        channel.send = sending
        writer.main(channel)
"""
BROKEN = ErrorBody("BROKEN", "it broke", retryable=True)
KEY = ("client:one", "r1")


def held(fence):
    return Lease(*KEY, fence)


STORY = {
    "enqueue": lambda store, clock: store.enqueue(record(clock)),
    "claim": lambda store, clock: store.claim("w", 5, 30.0),
    "renew": lambda store, clock: store.renew([held(1), held(7)], 60.0),
    "progress": lambda store, clock: store.update_progress(held(1), seq=3, percentage=40, message="on the way"),
    "retry": lambda store, clock: store.fail(held(1), seq=4, error=BROKEN, retry_at=clock.now()),
    "claim again": lambda store, clock: store.claim("w", 5, 30.0),
    "release": lambda store, clock: store.release([held(2)]),
    "claim a third time": lambda store, clock: store.claim("w", 5, 30.0),
    "fail": lambda store, clock: store.fail(held(3), seq=5, error=BROKEN),
    "deliver": lambda store, clock: store.mark_delivered([KEY]),
    "requeue": lambda store, clock: store.requeue(KEY),
    "cancel": lambda store, clock: store.cancel(KEY),
    "requeue again": lambda store, clock: store.requeue(KEY),
    "claim a last time": lambda store, clock: store.claim("w", 5, 0.0),
    "complete": lambda store, clock: store.complete(held(6), seq=6, result=b"1"),
    "enqueue what stood": lambda store, clock: store.enqueue(record(clock)),
    "enqueue the next": lambda store, clock: store.enqueue(record(clock, "r2", max_attempts=1)),
    "claim the next": lambda store, clock: store.claim("w", 5, 0.0),
    "abandon": lambda store, clock: store.claim("w", 5, 30.0),
    "enqueue what is too late": lambda store, clock: store.enqueue(record(clock, "r3", expires_at=clock.now())),
    "expire": lambda store, clock: store.claim("w", 5, 30.0),
    "list": lambda store, clock: store.list(),
    "counts": lambda store, clock: store.counts(),
}


NOTHING_WRITTEN = ("before BEGIN", "after BEGIN", "before COMMIT")
"""Between these the file does not change: each operation meets one of them, the next operation the next one."""


@pytest.mark.parametrize("steps", [NOTHING_WRITTEN, ["after COMMIT"], ["after the answer"]], ids=" or ".join)
async def test_a_writer_killed_there_changes_no_answer_and_no_record(steps, path, clock, writer_program):
    arm = writer_program(DYING)
    told = []
    store = await SqliteStore.open(path, clock=clock, warn=told.append)
    model = MemoryStore(clock)
    for (name, act), step in zip(STORY.items(), itertools.cycle(steps), strict=False):
        expected = await act(model, clock)
        arm(step)
        answer = await act(store, clock)
        if isinstance(answer, tuple) and hasattr(answer, "changed_externally"):
            # A new writer cannot know whether somebody else has written meanwhile, so it says so.
            answer = answer._replace(changed_externally=False, changed_keys=None)
        assert answer == expected, name
        for key in (KEY, ("client:one", "r2"), ("client:one", "r3")):
            assert await store.get(key) == await model.get(key), name
    await store.close()
    assert len(told) == len(STORY)
    assert all("was killed by signal 9; it was replaced" in line for line in told)
