from __future__ import annotations

import io
import json
import logging
import re

import pytest
import structlog

from streamer.core.context import current_request
from streamer.core.messages import Request
from streamer.runtime.logs import configure


@pytest.fixture(autouse=True)
def _as_before():
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


class Lines(io.BytesIO):
    """A stream that is no terminal unless it says so."""

    def isatty(self):
        return False

    @property
    def entries(self):
        return [json.loads(line) for line in self.getvalue().splitlines()]


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_are_json_where_there_is_no_terminal():
    stream = Lines()
    configure(stream=stream).info("ready", url="ws://x")
    (entry,) = stream.entries
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", entry.pop("timestamp"))
    assert entry == {"event": "ready", "level": "info", "url": "ws://x"}


def test_people_read_a_terminal():
    stream = Terminal()
    configure(stream=stream).info("ready", url="ws://x")
    assert "ready" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_the_form_may_be_fixed():
    people = io.StringIO()
    configure(form="console", stream=people).info("ready")
    assert re.match(r"\d\d:\d\d:\d\d\.\d+ \[info", people.getvalue())


def test_what_lies_below_the_level_is_not_written():
    stream = Lines()
    logger = configure("warning", stream=stream)
    logger.info("quiet")
    logger.warning("loud")
    assert [entry["event"] for entry in stream.entries] == ["loud"]


def test_a_traceback_stands_in_the_line():
    stream = Lines()
    logger = configure(stream=stream)
    logger.error("broken", exc_info=KeyError("the cause"))
    assert "KeyError: 'the cause'" in stream.entries[0]["exception"]


@pytest.mark.parametrize(
    "value", ["half a pair \ud800", 2**70, object(), {("a", 1): "x"}, b"bytes", {1: "x"}, float("nan")]
)
def test_a_line_comes_out_whatever_is_in_it(value):
    stream = Lines()
    configure(stream=stream).info("odd", value=value, request_id="r")
    assert stream.entries[0]["event"] == "odd"
    assert stream.entries[0]["request_id"] == "r"
    assert "value" in stream.entries[0]


def test_a_lines_request_is_named_unless_the_line_names_one_itself():
    stream = Lines()
    logger = configure(stream=stream)
    token = current_request.set(Request(id="r", action="a", connection_id="c"))
    try:
        logger.info("one")
        logger.info("two", request_id="other")
    finally:
        current_request.reset(token)
    logger.info("three")
    one, two, three = stream.entries
    assert (one["request_id"], one["action"], one["connection_id"]) == ("r", "a", "c")
    assert two["request_id"] == "other"
    assert "request_id" not in three


def test_what_libraries_warn_of_goes_to_the_same_place_once():
    configure(stream=Lines())
    stream = Lines()
    configure(stream=stream)
    logging.getLogger("a.library").warning("look at %s", "this")
    logging.getLogger("a.library").info("chatter")
    (entry,) = stream.entries
    assert entry["event"] == "look at this"
    assert entry["logger"] == "a.library"
    assert entry["level"] == "warning"


def test_a_library_that_logs_wrongly_does_not_break_what_it_does():
    stream = Lines()
    configure(stream=stream)
    # The test runner's own handlers, which stand before ours, would refuse the line.
    logging.getLogger().handlers = logging.getLogger().handlers[-1:]
    logging.getLogger("a.library").warning("%d", "no number")
    assert stream.entries[0]["event"] == "%d ('no number',)"


EVIL = "a\n12:00:00.000000 [error    ] forged \x1b[2J\x1b]0;title\x07 \u202e\x9b31m\r\x00 end"


@pytest.mark.parametrize("secrets", [frozenset(), frozenset({"nothing"})])
def test_what_a_client_sent_can_neither_steer_a_terminal_nor_forge_a_line(secrets):
    stream = io.StringIO()
    logger = configure(form="console", stream=stream, secrets=secrets)
    logger.info(EVIL, request_id=EVIL, more=[EVIL], deeper={EVIL: EVIL})
    logger.error("broken", exc_info=ValueError(EVIL))
    logging.getLogger("a.library").warning("%s", EVIL)
    written = stream.getvalue()
    assert all(char.isprintable() or char == "\n" for char in written)
    lines = written.splitlines()
    assert sum(bool(re.match(r"\d\d:\d\d:\d\d", line)) for line in lines) == 3
    assert "  12:00:00.000000 [error    ] forged" in written


def test_in_json_each_line_is_one_line_and_reads_back_as_it_was():
    stream = Lines()
    logger = configure(stream=stream)
    logger.info(EVIL, request_id=EVIL)
    logger.error("broken", exc_info=ValueError(EVIL))
    first, second = stream.entries
    assert (first["event"], first["request_id"]) == (EVIL, EVIL)
    assert second["exception"].endswith(EVIL)


def test_a_terminal_is_not_shown_what_the_frames_of_a_traceback_hold():
    stream = Terminal()
    logger = configure(stream=stream)

    def check(token):
        return {}[len(token)]

    try:
        check("tok-" + str(4711))
    except KeyError as problem:
        logger.error("broken", exc_info=problem)
    assert "tok-4711" not in stream.getvalue()
    assert "KeyError" in stream.getvalue()
