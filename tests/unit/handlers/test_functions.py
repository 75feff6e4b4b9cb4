from __future__ import annotations

import functools

import pytest

from streamer.contracts.components import FunctionTarget
from streamer.contracts.handlers import BaseHandler, Handler, HandlerWithProgress
from streamer.core.errors import Error, PluginError
from streamer.core.messages import Result
from streamer.handlers.functions import adapt
from streamer.handlers.pools import Pools

JOBS = """
    import os

    def work(request, times=1):
        request.progress.report(50, "half", pid=os.getpid())
        return {"payload": request.payload, "times": times, "pid": os.getpid()}
"""


@pytest.fixture
async def pools():
    pools = Pools(threads=2, direct_threads=2, processes=1, direct_processes=1)
    yield {"pools": pools}
    await pools.close()


async def test_a_whole_handler_is_returned_as_it_is(pools):
    class Whole(BaseHandler):
        async def process(self, request):
            return Result()

    handler = Whole()
    assert adapt(handler, **pools) is handler


async def test_an_object_with_only_process_gets_the_rest(pools, request_of):
    class Bare:
        async def process(self, request):
            return Result(data=request.payload)

    handler = adapt(Bare(), **pools, estimated_duration=7.0)
    assert isinstance(handler, Handler)
    assert not isinstance(handler, HandlerWithProgress)
    assert handler.estimated_duration() == 7.0
    assert handler.validate(request_of()) is None
    assert (await handler.process(request_of(3))).data == 3


async def test_what_an_object_has_is_kept(pools, request_of, recorder):
    class Partly:
        def validate(self, request):
            raise Error("NOT_FOUND", "refused")

        async def process(self, request):
            return "plain"

        async def process_with_progress(self, request, reporter):
            reporter.report(1)
            return "reported"

    handler = adapt(Partly(), **pools)
    assert isinstance(handler, HandlerWithProgress)
    assert handler.estimated_duration() == 0.0
    with pytest.raises(Error, match="refused"):
        handler.validate(request_of())
    assert await handler.process(request_of()) == "plain"
    assert await handler.process_with_progress(request_of(), recorder) == "reported"
    assert recorder.reports == [(1, "", {})]


async def test_an_estimate_of_its_own_is_kept(pools):
    class Estimating:
        def estimated_duration(self):
            return 3

        async def process(self, request):
            return None

    assert adapt(Estimating(), **pools, estimated_duration=7.0).estimated_duration() == 3.0


@pytest.mark.parametrize("target", [None, 3, object(), len])
async def test_what_cannot_run_requests_is_refused(pools, target):
    with pytest.raises(PluginError, match="is not a handler: it needs a method `async def process"):
        adapt(target, **pools)


async def test_an_async_function_runs_on_the_loop(pools, request_of, recorder):
    async def work(request, times=1):
        request.progress.report(50, "half")
        return request.payload * times

    handler = adapt(FunctionTarget(work, {"times": 2}), **pools, estimated_duration=1.5)
    assert handler.estimated_duration() == 1.5
    assert await handler.process(request_of(4)) == Result(data=8)
    assert await adapt(FunctionTarget(work, {}), **pools).process(request_of(4)) == Result(data=4)
    assert recorder.reports == [(50, "half", {})] * 2


async def test_a_plain_function_runs_in_a_thread(pools, request_of, recorder):
    import threading

    def work(request, times=1):
        request.progress.report(50, "half", thread=threading.current_thread().name)
        return Result(data=request.payload * times, metadata={"made": "here"})

    handler = adapt(FunctionTarget(work, {"times": 2}), **pools)
    assert await handler.process(request_of(4)) == Result(data=8, metadata={"made": "here"})
    assert recorder.reports == [(50, "half", {"thread": "streamer-direct-1"})]


async def test_a_cpu_bound_function_runs_in_a_process(pools, request_of, recorder, module):
    import os

    work = module("functions_jobs", JOBS).work
    handler = adapt(FunctionTarget(work, {"times": 2}, cpu_bound=True), **pools)
    result = await handler.process(request_of(4))
    pid = result.data.pop("pid")
    assert result.data == {"payload": 4, "times": 2}
    assert pid != os.getpid()
    assert recorder.reports == [(50.0, "half", {"pid": pid})]


async def test_partials_and_callable_objects_are_functions_too(pools, request_of):
    class Callable:
        async def __call__(self, request, times):
            return ("object", times)

    async def work(times, request):
        return ("partial", times)

    assert (await adapt(FunctionTarget(Callable(), {"times": 2}), **pools).process(request_of())).data == ("object", 2)
    partial = functools.partial(work, 3)
    assert (await adapt(FunctionTarget(partial, {}), **pools).process(request_of())).data == ("partial", 3)


async def test_a_function_that_yields_is_refused(pools):
    def one(request):
        yield request

    async def other(request):
        yield request

    for function in (one, other):
        with pytest.raises(PluginError, match="yields; it must return its result"):
            adapt(FunctionTarget(function, {}), **pools)


async def test_an_async_function_cannot_be_cpu_bound(pools):
    async def work(request):
        return None

    with pytest.raises(PluginError, match="is async and cpu_bound; write it as a plain def"):
        adapt(FunctionTarget(work, {}, cpu_bound=True), **pools)


async def test_a_cpu_bound_function_that_no_process_can_find_is_refused(pools):
    with pytest.raises(PluginError, match=r"<lambda> cannot be sent to a process .*at the top level of a module"):
        adapt(FunctionTarget(lambda request: None, {}, cpu_bound=True), **pools)
