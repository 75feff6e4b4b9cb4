"""The logger for tests keeps every line, whatever it is called with."""

import asyncio

import pytest

from streamer.testing import RecordingLogger


def test_every_level_is_kept_with_its_fields():
    logger = RecordingLogger()
    logger.info("begun", of=3)
    logger.error("%s broke %d times", "it", 2)
    assert logger.lines == [("info", "begun", {"of": 3}), ("error", "it broke 2 times", {})]
    assert logger.events() == ["begun", "it broke 2 times"]
    assert logger.events("error") == ["it broke 2 times"]


def test_a_bound_logger_writes_into_the_same_lines():
    logger = RecordingLogger(service="s")
    bound = logger.bind(action="a")
    bound.warning("late", action="b")
    assert logger.fields("late") == {"service": "s", "action": "b"}
    assert bound.bound == {"service": "s", "action": "a"}


def test_what_was_not_logged_is_an_error_that_names_what_was():
    logger = RecordingLogger()
    logger.info("one")
    with pytest.raises(LookupError, match=r"'two' was not logged, but \['one'\]"):
        logger.fields("two")


async def test_a_line_can_be_awaited():
    logger = RecordingLogger()
    waiting = asyncio.create_task(logger.until("ready"))
    await asyncio.sleep(0)
    assert not waiting.done()
    logger.info("ready", url="ws://x")
    assert await waiting == {"url": "ws://x"}
    assert await logger.until("ready") == {"url": "ws://x"}


def test_it_has_no_private_levels():
    with pytest.raises(AttributeError):
        _ = RecordingLogger()._nothing
