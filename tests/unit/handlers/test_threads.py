from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from streamer.core.errors import Error
from streamer.handlers import threads
from streamer.handlers.threads import ThreadPool


@pytest.fixture
async def pool():
    pool = ThreadPool(2, name="test")
    yield pool
    await pool.close()


class Gate:
    """A function that says when it began and waits to be let go."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.began = asyncio.Event()
        self.go = threading.Event()
        self.saw: list[bool] = []

    def __call__(self) -> str:
        self.loop.call_soon_threadsafe(self.began.set)
        self.go.wait()
        self.saw.append(threads.cancelled())
        return "done"


async def test_a_function_runs_in_a_thread_of_the_pool(pool):
    assert await pool.run(lambda *a, **o: (a, o, threading.current_thread().name), 1, b=2) == ((1,), {"b": 2}, "test-1")


async def test_what_it_raises_arrives(pool):
    with pytest.raises(ZeroDivisionError):
        await pool.run(lambda: 1 / 0)


class Unspeakable(BaseException):
    """What a Rust extension raises is no `Exception`; of this one not even the text can be had."""

    def __str__(self):
        raise Unspeakable


@pytest.mark.parametrize(
    "raised",
    [
        SystemExit(3),
        KeyboardInterrupt("x"),
        StopIteration("x"),
        GeneratorExit("x"),
        asyncio.CancelledError("x"),
        BaseExceptionGroup("x", [SystemExit(3)]),
        Unspeakable("x"),
    ],
)
async def test_an_exception_that_would_end_the_loop_arrives_wrapped(pool, raised):
    def leave():
        raise raised

    with pytest.raises(RuntimeError, match=f"raised {type(raised).__name__}") as caught:
        await pool.run(leave)
    assert caught.value.__cause__ is raised
    assert await pool.run(lambda: "still serving") == "still serving"


async def test_the_callers_context_variables_are_seen(pool):
    variable = contextvars.ContextVar("variable")
    variable.set("mine")
    assert await pool.run(variable.get) == "mine"


async def test_no_more_run_than_there_is_room_for(pool):
    gates = [Gate() for _ in range(3)]
    tasks = [asyncio.ensure_future(pool.run(gate)) for gate in gates]
    await gates[0].began.wait()
    await gates[1].began.wait()
    assert pool.running == 2
    assert not gates[2].began.is_set()
    gates[0].go.set()
    await gates[2].began.wait()
    assert await tasks[0] == "done"
    for gate in gates:
        gate.go.set()
    assert await asyncio.gather(*tasks) == ["done"] * 3
    assert pool.running == 0


async def test_a_cancelled_caller_leaves_at_once_and_the_slot_stays_taken_until_the_thread_ends(pool):
    gate = Gate()
    task = asyncio.ensure_future(pool.run(gate))
    await gate.began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pool.running == 1
    gate.go.set()
    await pool.close()
    assert pool.running == 0
    assert gate.saw == [True]


async def test_a_cancelled_caller_whose_function_has_not_begun_takes_no_slot():
    pool = ThreadPool(1)
    gate, called = Gate(), []
    first = asyncio.ensure_future(pool.run(gate))
    await gate.began.wait()
    second = asyncio.ensure_future(pool.run(called.append, 2))
    third = asyncio.ensure_future(pool.run(called.append, 3))
    await asyncio.sleep(0)
    second.cancel()
    gate.go.set()
    await asyncio.wait([first, second, third])
    assert called == [3]
    await pool.close()


async def test_a_function_that_is_not_cancelled_is_told_so(pool):
    gate = Gate()
    gate.go.set()
    await pool.run(gate)
    assert gate.saw == [False]
    assert not threads.cancelled()


async def test_a_closed_pool_refuses_work_as_retryable(pool):
    await pool.run(int)
    await pool.close()
    with pytest.raises(Error, match="shutting down") as caught:
        await pool.run(int)
    assert caught.value.retryable


async def test_a_close_that_is_cancelled_leaves_the_running_behind_and_fails_the_waiting():
    pool = ThreadPool(1)
    gate = Gate()
    running = asyncio.ensure_future(pool.run(gate))
    await gate.began.wait()
    waiting = asyncio.ensure_future(pool.run(int))
    closing = asyncio.ensure_future(pool.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(Error, match="shutting down"):
        await waiting
    gate.go.set()
    assert await running == "done"


async def test_threads_end_with_the_pool():
    pool = ThreadPool(1)
    thread = await pool.run(threading.current_thread)
    assert thread.daemon
    await pool.close()
    await asyncio.get_running_loop().run_in_executor(None, thread.join)


def test_a_thread_whose_loop_has_closed_does_not_complain():
    ended = threading.Event()

    class Late:
        def __init__(self):
            self.go = threading.Event()

        def __call__(self):
            began.set()
            self.go.wait()
            thread.append(threading.current_thread())
            ended.set()

    thread: list[threading.Thread] = []
    late, began = Late(), threading.Event()

    async def leave():
        pool = ThreadPool(1)
        task = asyncio.ensure_future(pool.run(late))
        await asyncio.sleep(0)
        began.wait()
        task.cancel()
        closing = asyncio.ensure_future(pool.close())
        await asyncio.sleep(0)
        closing.cancel()

    asyncio.run(leave())
    late.go.set()
    ended.wait()
    thread[0].join()
