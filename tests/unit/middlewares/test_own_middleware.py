"""The middleware of the page about hooks, as it is written there."""

import re
from pathlib import Path

import pytest

from streamer.contracts.handlers import HandlerFunc
from streamer.core.messages import Request
from streamer.engine.pipeline import compose
from streamer.handlers.functions import FunctionTarget, adapt
from streamer.handlers.pools import Pools
from streamer.testing import RecordingLogger, RecordingReporter

pytestmark = pytest.mark.service  # it starts writers of SQLite

PAGE = Path(__file__).parents[3] / "docs/reference/hooks.md"


def works(request):
    request.progress.set_metadata("file", "a.csv")
    request.progress.report(50, "half", rows=3)
    return "done"


async def works_on_the_loop(request):
    return works(request)


@pytest.fixture
def middleware():
    (example,) = re.findall(r"```python\n(import msgspec\n.*?)```", PAGE.read_text(), re.DOTALL)
    names = {}
    exec(compile(example, str(PAGE), "exec"), names)
    logger = RecordingLogger()
    return names["LogProgress"](logger), logger


@pytest.mark.parametrize("way", ["loop", "thread", "process"])
@pytest.mark.parametrize("queued", [True, False])
async def test_it_sees_the_progress_wherever_the_handler_runs_and_passes_it_on(middleware, way, queued):
    made, logger = middleware
    pools = Pools(threads=1, direct_threads=1, processes=1, direct_processes=1)
    target = FunctionTarget(works, {}, cpu_bound=way == "process")
    handler = HandlerFunc(works_on_the_loop) if way == "loop" else adapt(target, pools=pools)
    reporter = RecordingReporter()
    request = Request(id="r", action="a", queued=queued, progress=reporter)
    pipeline = compose(handler, [made])
    try:
        assert (await (pipeline.queued if queued else pipeline.direct)(request)).data == "done"
    finally:
        await pools.close()
    assert reporter.updates == [(50, "half", {"file": "a.csv", "rows": 3})]
    assert logger.lines == [("info", "progress", {"request_id": "r", "percentage": 50})]
