"""Direct requests have threads and processes of their own, owners take turns, what outlives a request is counted."""

from __future__ import annotations

import asyncio
import threading

import pytest

from streamer.core.context import current_request
from streamer.core.errors import Error
from streamer.handlers.fair_queue import FairQueue
from streamer.handlers.pools import Pools
from streamer.handlers.processes import ProcessPool
from streamer.handlers.threads import ThreadPool
from streamer.testing import RecordingLogger

pytestmark = pytest.mark.service  # it starts processes of a pool

JOBS = """
    import pathlib, time

    def quick(request):
        return "quick"

    def hold(request, path):
        request.progress.report(1, "begun")
        while not pathlib.Path(path).exists():
            time.sleep(0.005)
        return request.id
"""


class Held:
    """A function in a thread that waits to be let go."""

    def __init__(self):
        self.go = threading.Event()
        self.began = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, request=None):
        self._loop.call_soon_threadsafe(self.began.set)
        self.go.wait()


@pytest.fixture
def log():
    return RecordingLogger()


@pytest.fixture
async def pools(log):
    made = Pools(threads=1, direct_threads=1, processes=1, direct_processes=1, logger=log)
    yield made
    await made.close()


@pytest.mark.parametrize("queued_first", [True, False])
async def test_queued_and_direct_functions_do_not_wait_for_each_others_threads(pools, request_of, queued_first):
    held = Held()
    holding = asyncio.ensure_future(pools.in_thread(held, request_of(queued=queued_first), {}))
    await held.began.wait()
    assert await pools.in_thread(lambda request: "quick", request_of(queued=not queued_first), {}) == "quick"
    held.go.set()
    await holding


@pytest.mark.parametrize("queued_first", [True, False])
async def test_queued_and_direct_functions_do_not_wait_for_each_others_processes(
    pools, module, request_of, recorder, tmp_path, queued_first
):
    jobs = module("pools_jobs", JOBS)
    begun = asyncio.Event()
    recorder.on_report = begun.set
    options = {"path": str(tmp_path / "go")}
    holding = asyncio.ensure_future(pools.in_process(jobs.hold, request_of(queued=queued_first), options))
    await begun.wait()
    assert await pools.in_process(jobs.quick, request_of(queued=not queued_first), {}) == "quick"
    (tmp_path / "go").touch()
    await holding


def test_owners_take_turns_each_in_its_own_order():
    queue = FairQueue()
    for owner, item in [("a", 1), ("a", 2), ("a", 3), ("b", 4), ("b", 5), ("c", 6)]:
        queue.push(owner, item)
    queue.discard("b", 5)
    queue.discard("b", 7)
    queue.discard("c", 6)
    queue.discard("nobody", 1)
    assert [queue.pop() for _ in range(4)] == [1, 4, 2, 3]
    assert not queue


async def test_a_flood_of_one_owner_delays_another_by_one_function(request_of):
    pool, order, held = ThreadPool(1), [], Held()

    async def call(owner, function):
        current_request.set(request_of(owner=owner))
        await pool.run(function)

    tasks = [asyncio.ensure_future(call("many", held))]
    await held.began.wait()
    tasks += [asyncio.ensure_future(call("many", lambda n=n: order.append(n))) for n in range(20)]
    tasks.append(asyncio.ensure_future(call("one", lambda: order.append("one"))))
    await asyncio.sleep(0)
    held.go.set()
    await asyncio.gather(*tasks)
    assert order[:3] == [0, "one", 1]
    await pool.close()


async def test_what_outlives_its_request_is_counted_and_logged(pools, log, request_of):
    held = [Held(), Held()]
    other = ThreadPool(2, logger=log)
    tasks = [asyncio.ensure_future(other.run(one)) for one in held]
    await asyncio.sleep(0)
    direct = Held()
    current_request.set(request_of(id="d"))
    tasks.append(asyncio.ensure_future(pools.in_thread(direct, request_of(id="d"), {})))
    for one in (*held, direct):
        await one.began.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert (other.left_over, pools.left_over) == (2, 1)
    text = "a function still runs after its request has ended; it keeps its thread until it returns"
    about = {"request_id": "d", "action": "act"}
    assert sorted((line[1:] for line in log.lines), key=lambda line: line[1]["threads"]) == [
        (text, {"still_running": 1, "threads": 1, **about}),
        (text, {"still_running": 1, "threads": 2}),
        (text, {"still_running": 2, "threads": 2}),
    ]
    for one in (*held, direct):
        one.go.set()
    await other.close()
    await pools.close()
    assert (other.left_over, pools.left_over) == (0, 0)
    assert log.lines[-1][1:] == ("all functions that outlived their requests have ended", {})


async def test_without_a_thread_a_function_may_be_tried_again(monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    pool = ThreadPool(2)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(Error) as caught:
            await pool.run(lambda: None)
    assert caught.value.retryable
    assert caught.value.__notes__ == ["no thread could be started for a function: can't start new thread"]
    held = Held()
    first = asyncio.ensure_future(pool.run(held))
    await held.began.wait()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        second = asyncio.ensure_future(pool.run(lambda: "by the thread that there is"))
        await asyncio.sleep(0)
        held.go.set()
        assert await second == "by the thread that there is"
    await first
    await pool.close()


async def test_a_job_whose_caller_has_gone_while_it_waited_gives_its_process_to_the_next(
    module, request_of, recorder, tmp_path
):
    jobs = module("pools_jobs", JOBS)
    pool, begun = ProcessPool(1), asyncio.Event()
    recorder.on_report = begun.set
    options = {"path": str(tmp_path / "go")}
    first = asyncio.ensure_future(pool.run(jobs.hold, options, request_of(id="first")))
    await begun.wait()
    waiting = [asyncio.ensure_future(pool.run(jobs.hold, options, request_of(id=f"w{n}"))) for n in range(4)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    (tmp_path / "go").touch()
    first.add_done_callback(lambda _: waiting[1].cancel())
    assert await first == "first"
    assert await asyncio.gather(*waiting[2:]) == ["w2", "w3"]
    assert all(task.cancelled() for task in waiting[:2])
    await pool.close()
