"""A start that waits for the service before it."""

import asyncio

import pytest

from streamer.core.errors import PortInUse, StartError, StoreInUse
from streamer.runtime.start_retry import INTERVAL, StartRetry
from streamer.testing import ManualClock, RecordingLogger
from streamer.testing.clock import settle


class Taken:
    """Something that another service lets go of after so many tries."""

    def __init__(self, tries, problem):
        self.tries = tries
        self.problem = problem

    async def __call__(self):
        if self.tries:
            self.tries -= 1
            raise self.problem
        return "free"


@pytest.fixture
def clock():
    return ManualClock()


def waiting(clock, taken, *, wait=10.0, stop=None, logger=None):
    start_retry = StartRetry(wait, clock, logger or RecordingLogger(), stop or asyncio.Event())
    return asyncio.create_task(start_retry.until_free(taken))


@pytest.mark.parametrize("problem", [StoreInUse("a.db is in use"), PortInUse("port 1 is taken")])
async def test_it_takes_over_when_the_other_lets_go_and_says_once_what_it_waited_for(clock, problem):
    logger = RecordingLogger()
    task = waiting(clock, Taken(3, problem), logger=logger)
    await settle()
    await clock.advance(1)
    assert await task == "free"
    assert logger.lines == [("info", "waiting for another service to end", {"reason": str(problem)})]


async def test_what_is_free_is_taken_without_a_word(clock):
    logger = RecordingLogger()
    assert await waiting(clock, Taken(0, None), wait=0.0, logger=logger) == "free"
    assert logger.lines == []


async def test_its_patience_ends(clock):
    task = waiting(clock, Taken(1000, StoreInUse("a.db is in use")), wait=1.0)
    await settle()
    await clock.advance(2)
    with pytest.raises(StoreInUse, match="in use"):
        await task


async def test_told_to_stop_it_does_not_wait(clock):
    stop = asyncio.Event()
    task = waiting(clock, Taken(1000, PortInUse("taken")), stop=stop)
    await settle()
    stop.set()
    await clock.advance(INTERVAL)
    with pytest.raises(PortInUse):
        await task


async def test_other_problems_are_not_waited_for(clock):
    with pytest.raises(StartError, match="certificate"):
        await waiting(clock, Taken(1, StartError("the certificate is gone")))
