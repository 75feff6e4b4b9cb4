"""Logging neither raises nor grows, whatever is in a line."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading

import pytest
import structlog

from streamer.runtime import logs
from streamer.runtime.log_lines import LONGEST_LINE
from streamer.runtime.logs import configure, take_over

EVIL = "\x1b[2J \x9b31m \u202e \u2028 \x7f"


class Panic(BaseException):
    """What a Rust extension raises."""


class Unspeakable:
    def __repr__(self):
        raise Panic("repr")

    __str__ = __repr__


class UnspeakableError(BaseException):
    def __str__(self):
        raise Panic("str")


class Odd(dict):
    def items(self):
        raise Panic("items")


class Stream(io.BytesIO):
    def isatty(self):
        return False

    @property
    def text(self):
        return self.getvalue().decode()


@pytest.fixture(autouse=True)
def _as_before():
    root = logging.getLogger()
    handlers, level, raising = list(root.handlers), root.level, logging.raiseExceptions
    yield
    root.handlers, root.level, logging.raiseExceptions = handlers, level, raising
    structlog.reset_defaults()


FORMS = pytest.mark.parametrize("form", ["json", "console"])
VALUES = [
    Unspeakable(),
    [Unspeakable()],
    {"deep": {Unspeakable(): 1}},
    Odd(a=1),
    UnspeakableError(),
    "x" * 10_000_000,
    ["x" * 100_000] * 10,
    10**5000,
    "half a pair \ud800",
]


@FORMS
@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_that_cannot_be_shown_costs_neither_the_caller_nor_the_line(form, value):
    stream = Stream()
    logger = configure(form=form, stream=stream)
    logger.info("odd", value=value, request_id="r-17")
    logger.bind(value=value).error("bound", request_id="r-17")
    first, second = stream.text.splitlines()
    for line, event in ((first, "odd"), (second, "bound")):
        assert event in line
        assert "r-17" in line
        assert len(line) < 2 * LONGEST_LINE
        assert form == "console" or json.loads(line)


@FORMS
@pytest.mark.parametrize("problem", [UnspeakableError(), Panic("x" * 10_000_000), RecursionError("deep")])
def test_an_exception_that_cannot_be_shown_is_shown_as_far_as_it_can_be(form, problem):
    stream = Stream()
    logger = configure(form=form, stream=stream)
    logger.error("broken", exc_info=problem)
    logger.error("broken", exc_info=(type(problem), problem, None))
    assert stream.text.count(type(problem).__name__) == 2
    assert len(stream.text) < 200_000


@FORMS
def test_a_line_that_cannot_be_made_is_replaced_by_one_that_says_so(form):
    stream = Stream()
    logger = configure(form=form, stream=stream, secrets={"s3cret-token"})
    logger.info("%d of s3cret-token", "no number")
    logger.info("%s", Unspeakable())
    logger.log("no level", "event")
    lines = stream.text.splitlines()
    assert len(lines) == 3
    assert all("a log line could not be made" in line for line in lines[:2])
    assert "%d of ***" in lines[0]
    assert "Panic" in lines[1]


def test_events_take_arguments_as_those_of_the_standard_library_do():
    stream = Stream()
    logger = configure("debug", stream=stream)
    logger.info("%s of %d", "two", 3)
    logger.warning("%(name)s", {"name": "mine"})
    logger.log(15, "between")
    logger.log(1, "below all")
    logger.warning("warned")
    logger.msg("said")
    logger.fatal("fatal")
    try:
        int("boom")
    except ValueError:
        logger.exception("raised")
    lines = [json.loads(line) for line in stream.text.splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [
        ("two of 3", "info"), ("mine", "warning"), ("between", "debug"), ("below all", "debug"),
        ("warned", "warning"), ("said", "info"), ("fatal", "critical"), ("raised", "error"),
    ]  # fmt: skip
    assert "ValueError: invalid literal" in lines[-1]["exception"]


async def test_the_asynchronous_methods_are_there_too():
    stream = Stream()
    await configure(stream=stream).ainfo("later")
    assert '"later"' in stream.text


@FORMS
def test_what_a_terminal_might_obey_is_escaped_in_both_forms(form):
    stream = Stream()
    logger = configure(form=form, stream=stream)
    logger.info(EVIL, value=EVIL, more=[EVIL])
    logger.error("broken", exc_info=ValueError(EVIL))
    assert all(line.isprintable() for line in stream.text.split("\n"))


@FORMS
def test_libraries_that_log_wrongly_fail_nobody(form, capfd):
    stream = Stream()
    configure(form=form, stream=stream)
    logging.getLogger().handlers = logging.getLogger().handlers[-1:]
    library = logging.getLogger("a.library")
    library.warning("%s", Unspeakable())
    library.log(35, "between %s", "levels")
    library.addHandler(logging.StreamHandler(io.BytesIO()))
    library.error("to a handler that fails")
    library.handlers.clear()
    assert "between levels" in stream.text
    assert "to a handler that fails" in stream.text
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("problem", [BrokenPipeError(), OSError(28, "full"), ValueError("closed")])
def test_a_stream_that_fails_fails_nobody(problem):
    class Fails(io.StringIO):
        def write(self, text):
            raise problem

    configure(stream=Fails()).info("nobody reads this")


def test_what_is_printed_and_what_ends_a_thread_becomes_lines():
    stream = Stream()
    logger = configure(stream=stream)
    before = sys.stdout, sys.stderr, threading.excepthook, sys.unraisablehook

    class Ends:
        def __del__(self):
            raise ValueError("in a destructor")

    with take_over(logger):
        print("from a plugin")
        print("an alarm", file=sys.stderr)
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        Ends()
    assert (sys.stdout, sys.stderr, threading.excepthook, sys.unraisablehook) == before
    lines = [json.loads(line) for line in stream.text.splitlines()]
    assert (lines[0]["event"], lines[0]["stream"], lines[0]["level"]) == ("from a plugin", "stdout", "info")
    assert (lines[1]["event"], lines[1]["stream"], lines[1]["level"]) == ("an alarm", "stderr", "warning")
    assert "ZeroDivisionError" in lines[2]["exception"]
    assert "in a destructor" in lines[3]["exception"]


@FORMS
def test_standard_error_itself_is_written_to_by_its_sink(form, monkeypatch):
    reader, writer = os.pipe()

    class Stderr(io.StringIO):
        def fileno(self):
            return 2

    sink = logs.Sink(writer)
    monkeypatch.setattr(sys, "stderr", Stderr())
    monkeypatch.setattr(logs, "stderr_sink", lambda: sink)
    logger = configure(form=form)
    logger.info("a line")
    assert b"a line" in os.read(reader, 1000)
    sink._dropped = 3
    logger.info("another")
    came = os.read(reader, 1000)
    assert b"log lines were dropped" in came
    assert b"3" in came
    os.close(reader)
    os.close(writer)
