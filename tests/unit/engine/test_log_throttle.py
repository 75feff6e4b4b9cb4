"""The same trouble is told now and then, and how often it was met is not lost."""

from streamer.engine.log_throttle import LogThrottle
from streamer.testing import ManualClock, RecordingLogger


async def test_one_line_a_second_of_each_kind_says_how_many_it_stands_for():
    clock, logger = ManualClock(), RecordingLogger()
    throttle = LogThrottle(logger, clock)
    for number in range(5):
        throttle.error("full", number=number)
    throttle.error("slow", number=9)
    assert [line[1:] for line in logger.lines] == [("full", {"number": 0}), ("slow", {"number": 9})]
    await clock.advance(1)
    throttle.error("full", number=5)
    throttle.error("slow", number=10)
    assert [line[1:] for line in logger.lines[2:]] == [("full", {"number": 5, "unsaid": 4}), ("slow", {"number": 10})]
    await clock.advance(1)
    throttle.error("full", number=6)
    assert [line[1:] for line in logger.lines[4:]] == [("full", {"number": 6})]
