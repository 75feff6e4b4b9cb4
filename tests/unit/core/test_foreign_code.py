"""Exceptions of foreign code: shown whatever they are."""

from __future__ import annotations

import asyncio
import gc

import pytest

from streamer.core.foreign_code import (
    describe,
    format_traceback,
    is_being_closed,
    is_our_own,
    notes_of,
    one_line,
    safe_repr,
    safe_text,
)


class Panic(BaseException):
    """What a Rust extension raises."""


class Unspeakable(BaseException):
    """Neither its text nor its representation can be had."""

    def __str__(self):
        raise Panic("str")

    __repr__ = __str__


class Mapping(str):
    """A text that is another one when it is formatted."""

    __slots__ = ()

    def __getitem__(self, key):
        raise Panic("slice")


def raised(problem):
    with pytest.raises(BaseException) as caught:
        raise problem
    return caught.value


def test_the_text_of_anything_can_be_shown():
    assert safe_text("a") == "a"
    assert safe_text("a" * 9, 3) == "aaa…"
    assert safe_text(Mapping("abc"), 2) == "ab…"
    assert safe_text(Unspeakable()) == "<the text of a Unspeakable cannot be shown>"
    assert safe_repr({"a": 1}) == "{'a': 1}"
    assert safe_repr("abcdef", 3) == "'ab…"
    assert safe_repr([Unspeakable()]) == "<a list that cannot be shown>"


def test_an_exception_is_described_by_type_and_text():
    assert describe(Panic("a\nb")) == "Panic: a\nb"
    assert one_line(Panic("a\nb")) == "Panic: a b"
    assert describe(Panic()) == "Panic"
    assert describe(Unspeakable()) == "Unspeakable: <the text of a Unspeakable cannot be shown>"


def test_a_traceback_has_what_happened_and_where():
    text = format_traceback(raised(Panic("boom")))
    assert text.startswith("Traceback (most recent call last):\n")
    assert text.endswith("Panic: boom")
    assert "in raised" in text


def test_a_traceback_of_what_cannot_be_shown_is_shown_all_the_same():
    assert "Unspeakable" in format_traceback(raised(Unspeakable()))


def test_a_traceback_that_cannot_be_made_becomes_a_description():
    class Odd(Exception):
        @property
        def __cause__(self):
            raise Panic("cause")

    assert format_traceback(raised(Odd("boom"))) == "Odd: boom"


def test_a_traceback_is_bounded():
    text = format_traceback(raised(ValueError("x" * 10_000_000)))
    assert len(text) < 40_000
    chain = ValueError("first")
    for number in range(200):
        chain = raised(ExceptionGroup(f"number {number} " + "y" * 500, [chain]))
    long = format_traceback(chain, 1000)
    assert len(long) < 1100
    assert "number 199" in long


async def test_a_cancellation_is_our_own_only_when_the_task_was_cancelled():
    seen = []

    async def work():
        seen.append(is_our_own(asyncio.CancelledError()))
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as problem:
            seen.append(is_our_own(problem))

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await task
    assert seen == [False, True]
    assert not is_our_own(ValueError())


async def test_a_generator_exit_raised_by_a_handler_is_foreign():
    assert not is_being_closed(GeneratorExit())


@pytest.mark.parametrize("in_a_loop", [True, False])
def test_a_generator_exit_that_closes_a_coroutine_is_our_own(in_a_loop):
    seen = []

    async def work():
        try:
            await asyncio.Event().wait()
        except GeneratorExit as problem:
            seen.append(is_our_own(problem))
            raise

    coroutine = work()

    async def main():
        # A callback of the loop, outside of any task, as where a collector closes what nobody holds any more.
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(lambda: done.set_result(coroutine.close()))
        await done

    async def begin():
        coroutine.send(None)

    asyncio.run(begin())
    if in_a_loop:
        asyncio.run(main())
    else:
        coroutine.close()
    gc.collect()
    assert seen == [True]


def test_notes_are_read_where_python_keeps_them_whatever_is_there():
    problem = ValueError("x")
    assert notes_of(problem) == []
    problem.add_note("the disk is full")
    assert notes_of(problem) == ["the disk is full"]
    problem.__notes__ = 5
    assert notes_of(problem) == []
