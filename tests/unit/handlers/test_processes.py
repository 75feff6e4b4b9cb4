from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest
import uvloop

from streamer.core.errors import Error
from streamer.handlers import processes
from streamer.handlers.processes import ProcessFailed, ProcessPool

pytestmark = pytest.mark.service  # it starts processes of a pool

SOURCE = """
    import os
    import signal
    import subprocess
    import sys
    import threading

    from streamer import Error, Result

    def pid(request):
        return os.getpid()

    def whole(request, *, factor):
        return Result(data=[request.id, request.action, request.payload * factor, request.metadata, request.attempt])

    def refuse(request):
        error = Error("NO_SUCH_ROW", "There is no such row", {"row": 3}, retryable=True)
        error.add_note("looked in table a")
        raise error

    def refuse_with_details_that_cannot_be_sent(request):
        raise Error("NO_SUCH_ROW", "There is no such row", {"row": lambda: 3})

    def fail(request):
        return 1 / 0

    def leave(request):
        sys.exit(3)

    class Panic(BaseException):
        def __str__(self):
            raise Panic

    def panic(request):
        raise Panic

    def panic_when_it_is_sent(request):
        return Panics()

    class Panics:
        def __reduce__(self):
            raise Panic

    def refuse_oddly(request):
        error = Error("ODD", "odd", {"panics": Panics()})
        error.retryable = Unsure()
        raise error

    class Unsure:
        def __bool__(self):
            raise Panic

        __reduce__ = __bool__

    def report_under_the_name_of_an_argument(request):
        request.progress.set_metadata("message", "mine")
        request.progress.report(5, "first")
        threading.Event().wait(0.05)

    def report_what_cannot_be_read(request):
        request.progress.report(5, "first", problem=OnlyHere())
        threading.Event().wait(0.2)
        return "mine"

    def refuse_with_notes_that_are_no_text(request):
        error = Error("NOTED", "noted")
        error.__notes__ = [5, Panic()] if request.payload else 5
        raise error

    def die(request):
        os._exit(7)

    def be_killed(request):
        os.kill(os.getpid(), signal.SIGKILL)

    def unpicklable(request):
        return lambda: None

    class OnlyHere(Exception):
        def __reduce__(self):
            return (int, ("not a number",))

    def unreadable(request):
        return OnlyHere()

    def hang(request):
        request.progress.report(1, str(os.getpid()))
        threading.Event().wait()

    def flood(request):
        request.progress.set_metadata("table", "payments")
        for step in range(300_000):
            request.progress.report(step / 3_000, "working", step=step)
        request.progress.report(100, "done", step=300_000)

    def strange_reports(request):
        request.progress.report("no number", 3)
        threading.Event().wait(0.05)
        request.progress.report(2, "unsendable", function=lambda: None)

    late = None

    def leave_a_reporter(request):
        global late
        late = request.progress

    def report_late(request):
        late.report(66, "of the last job")

    def run_a_program(request):
        program = subprocess.Popen([sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGTERM))"],
                                   stdout=subprocess.PIPE)
        return program.communicate()[0].decode().strip()

    def catch(request):
        os.kill(os.getpid(), signal.SIGTERM)
        return "still here"
"""


@pytest.fixture
async def pool():
    pool = ProcessPool(1)
    yield pool
    await pool.close()


@pytest.fixture
def jobs(module):
    return module("processes_jobs", SOURCE)


async def test_request_and_options_reach_the_function_and_its_result_comes_back(pool, jobs, request_of):
    request = request_of(2, metadata={"a": "b"}, attempt=2)
    result = await pool.run(jobs.whole, {"factor": 3}, request)
    assert result.data == ["req-1", "act", 6, {"a": "b"}, 2]


async def test_a_process_is_started_once_and_used_again(pool, jobs, request_of):
    first = await pool.run(jobs.pid, {}, request_of())
    assert first != os.getpid()
    assert await pool.run(jobs.pid, {}, request_of()) == first


async def test_as_many_run_at_once_as_there_are_processes(jobs, request_of, recorder):
    pool = ProcessPool(2)
    both = asyncio.Event()
    recorder.on_report = lambda: both.set() if len(recorder.reports) == 2 else None
    tasks = [asyncio.ensure_future(pool.run(jobs.hang, {}, request_of())) for _ in range(2)]
    await both.wait()
    assert len({text for _, text, _ in recorder.reports}) == 2
    await pool.close()
    for task in tasks:
        with pytest.raises(Error, match="shutting down"):
            await task


def test_there_is_one_process_per_core_unless_said():
    assert ProcessPool().size == len(os.sched_getaffinity(0))


async def test_an_error_arrives_as_the_same_error(pool, jobs, request_of):
    with pytest.raises(Error) as caught:
        await pool.run(jobs.refuse, {}, request_of())
    assert caught.value == Error("NO_SUCH_ROW", "There is no such row", {"row": 3}, retryable=True)
    assert caught.value.__notes__ == ["looked in table a"]


async def test_details_that_cannot_be_sent_are_left_out_and_noted(pool, jobs, request_of):
    with pytest.raises(Error) as caught:
        await pool.run(jobs.refuse_with_details_that_cannot_be_sent, {}, request_of())
    assert caught.value == Error("NO_SUCH_ROW", "There is no such row")
    assert "the details of this error cannot be sent" in caught.value.__notes__[0]


async def test_another_exception_arrives_with_its_traceback_for_the_log(pool, jobs, request_of):
    with pytest.raises(ProcessFailed, match="ZeroDivisionError: division by zero") as caught:
        await pool.run(jobs.fail, {}, request_of())
    assert "return 1 / 0" in caught.value.__notes__[0]
    assert await pool.run(jobs.pid, {}, request_of())


async def test_a_function_that_exits_fails_and_its_process_lives(pool, jobs, request_of):
    before = await pool.run(jobs.pid, {}, request_of())
    with pytest.raises(ProcessFailed, match="SystemExit: 3"):
        await pool.run(jobs.leave, {}, request_of())
    assert await pool.run(jobs.pid, {}, request_of()) == before


async def test_a_panic_fails_its_own_job_and_its_process_lives(pool, jobs, request_of):
    before = await pool.run(jobs.pid, {}, request_of())
    with pytest.raises(ProcessFailed, match="Panic: <the text of a Panic cannot be shown>"):
        await pool.run(jobs.panic, {}, request_of())
    with pytest.raises(ProcessFailed, match="Panics that cannot be sent back"):
        await pool.run(jobs.panic_when_it_is_sent, {}, request_of())
    with pytest.raises(Error, match="odd") as caught:
        await pool.run(jobs.refuse_oddly, {}, request_of())
    assert caught.value.retryable is False
    assert await pool.run(jobs.pid, {}, request_of()) == before


async def test_metadata_under_the_name_of_an_argument_costs_itself_alone(pool, jobs, request_of, recorder):
    await pool.run(jobs.report_under_the_name_of_an_argument, {}, request_of())
    assert recorder.reports == [(5.0, "first", {})]


async def test_metadata_that_cannot_be_read_costs_itself_and_no_other_job_gets_the_result(
    pool, jobs, request_of, recorder
):
    assert await pool.run(jobs.report_what_cannot_be_read, {}, request_of()) == "mine"
    assert recorder.reports == [(5.0, "first", {})]
    assert isinstance(await pool.run(jobs.pid, {}, request_of()), int)


@pytest.mark.parametrize("payload", [True, False])
async def test_notes_that_are_no_text_do_not_end_the_process(pool, jobs, request_of, payload):
    before = await pool.run(jobs.pid, {}, request_of())
    with pytest.raises(Error, match="noted") as caught:
        await pool.run(jobs.refuse_with_notes_that_are_no_text, {}, request_of(payload))
    assert caught.value.code == "NOTED"
    assert await pool.run(jobs.pid, {}, request_of()) == before


@pytest.mark.parametrize(
    ("name", "details"), [("die", {"exit": 7}), ("be_killed", {"exit": -9, "signal": signal.strsignal(9)})]
)
async def test_a_death_fails_only_its_own_job_and_the_queue_goes_on(pool, jobs, request_of, name, details):
    dying = asyncio.ensure_future(pool.run(getattr(jobs, name), {}, request_of()))
    waiting = [asyncio.ensure_future(pool.run(jobs.pid, {}, request_of())) for _ in range(3)]
    with pytest.raises(Error) as caught:
        await dying
    assert (caught.value.code, caught.value.retryable, caught.value.details) == ("INTERNAL_ERROR", True, details)
    assert len(set(await asyncio.gather(*waiting))) == 1


async def test_a_process_that_dies_idle_is_replaced(pool, jobs, request_of):
    first = await pool.run(jobs.pid, {}, request_of())
    child = pool._idle[0]._child
    os.kill(first, signal.SIGKILL)
    await child._gone
    assert await pool.run(jobs.pid, {}, request_of()) != first


async def test_a_cancelled_job_is_killed_and_a_new_process_takes_its_place(pool, jobs, request_of, recorder):
    began = asyncio.Event()
    recorder.on_report = began.set
    task = asyncio.ensure_future(pool.run(jobs.hang, {}, request_of()))
    await began.wait()
    pid = int(recorder.reports[0][1])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert await pool.run(jobs.pid, {}, request_of()) != pid


async def test_a_job_that_is_cancelled_while_it_waits_disturbs_nobody(pool, jobs, request_of, recorder):
    before = await pool.run(jobs.pid, {}, request_of())
    first = asyncio.ensure_future(pool.run(jobs.pid, {}, request_of()))
    second = asyncio.ensure_future(pool.run(jobs.pid, {}, request_of()))
    await asyncio.sleep(0)
    second.cancel()
    assert await first == before
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_a_job_that_is_cancelled_while_its_process_starts_leaves_none(pool, jobs, request_of, monkeypatch):
    started = asyncio.Event()

    async def hang(_child):
        started.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(processes.Child, "start", hang)
    task = asyncio.ensure_future(pool.run(jobs.pid, {}, request_of()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    monkeypatch.undo()
    assert await pool.run(jobs.pid, {}, request_of())


async def test_a_result_that_cannot_be_sent_is_a_clear_error(pool, jobs, request_of):
    with pytest.raises(ProcessFailed, match="returned a function that cannot be sent back"):
        await pool.run(jobs.unpicklable, {}, request_of())
    with pytest.raises(ProcessFailed, match="returned cannot be decoded: ValueError"):
        await pool.run(jobs.unreadable, {}, request_of())
    assert await pool.run(jobs.pid, {}, request_of())


async def test_a_tight_loop_of_reports_does_not_flood_and_the_last_one_arrives(pool, jobs, request_of, recorder):
    await pool.run(jobs.flood, {}, request_of())
    assert recorder.reports[-1] == (100.0, "done", {"table": "payments", "step": 300_000})
    assert len(recorder.reports) < 3_000
    steps = [metadata["step"] for _, _, metadata in recorder.reports]
    assert steps == sorted(steps)


async def test_a_report_that_makes_no_sense_costs_nothing_else(pool, jobs, request_of, recorder):
    await pool.run(jobs.strange_reports, {}, request_of())
    assert [(text, metadata) for _, text, metadata in recorder.reports] == [("3", {}), ("unsendable", {})]
    assert recorder.reports[0][0] != recorder.reports[0][0]
    assert recorder.reports[1][0] == 2


async def test_a_report_of_a_job_that_has_ended_does_not_count_for_the_next(pool, jobs, request_of, recorder):
    await pool.run(jobs.leave_a_reporter, {}, request_of())
    await pool.run(jobs.report_late, {}, request_of())
    assert recorder.reports == []


async def test_programs_that_a_function_starts_can_be_stopped(pool, jobs, request_of):
    assert await pool.run(jobs.run_a_program, {}, request_of()) == "0"
    assert await pool.run(jobs.catch, {}, request_of()) == "still here"


async def test_a_machine_that_refuses_another_process_is_a_retryable_error(pool, jobs, request_of, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/interpreter")
    with pytest.raises(Error) as caught:
        await pool.run(jobs.pid, {}, request_of())
    assert caught.value.retryable
    assert "no process could be started" in caught.value.__notes__[0]
    monkeypatch.undo()
    assert await pool.run(jobs.pid, {}, request_of())


async def test_a_closed_pool_kills_what_runs_and_refuses_what_waits(jobs, request_of, recorder):
    pool = ProcessPool(1)
    began = asyncio.Event()
    recorder.on_report = began.set
    running = asyncio.ensure_future(pool.run(jobs.hang, {}, request_of()))
    waiting = asyncio.ensure_future(pool.run(jobs.pid, {}, request_of()))
    await began.wait()
    await pool.close()
    for task in (running, waiting):
        with pytest.raises(Error, match="shutting down") as caught:
            await task
        assert caught.value.retryable
    with pytest.raises(ProcessLookupError):
        os.kill(int(recorder.reports[0][1]), 0)


async def test_a_busy_process_ends_when_its_parent_dies(tmp_path, jobs):
    script = tmp_path / "parent.py"
    script.write_text(
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(tmp_path / 'modules')!r})\n"
        "import processes_jobs as jobs\n"
        "from streamer import Request\n"
        "from streamer.core.messages import Reporter\n"
        "from streamer.handlers.processes import ProcessPool\n"
        "class Printer(Reporter):\n"
        "    def report(self, percentage, message='', **metadata): print(message, flush=True)\n"
        "asyncio.run(ProcessPool(1).run(jobs.hang, {}, Request(id='1', action='a', progress=Printer())))\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, str(script), stdout=asyncio.subprocess.PIPE)
    assert int(await parent.stdout.readline()) != parent.pid
    parent.kill()
    # The child holds the write end of this pipe too: its end is the child's end.
    assert await parent.stdout.read() == b""
    await parent.wait()


def test_it_works_on_uvloop_too(jobs, request_of, recorder):
    async def go():
        pool = ProcessPool(1)
        began = asyncio.Event()
        await pool.run(jobs.flood, {}, request_of())
        assert recorder.reports[-1][0] == 100.0
        with pytest.raises(Error) as caught:
            await pool.run(jobs.die, {}, request_of())
        assert caught.value.details == {"exit": 7}
        recorder.on_report = began.set
        task = asyncio.ensure_future(pool.run(jobs.hang, {}, request_of()))
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        recorder.on_report = lambda: None
        assert await pool.run(jobs.pid, {}, request_of()) != os.getpid()
        await pool.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(go())


async def test_what_a_killed_process_still_had_to_say_is_not_heard(pool, jobs, request_of, recorder):
    began = asyncio.Event()
    recorder.on_report = began.set
    task = asyncio.ensure_future(pool.run(jobs.hang, {}, request_of()))
    await began.wait()
    (worker,) = pool._busy
    task.cancel()
    # Between the cancellation and the kill a message may still arrive.
    worker._job.cancel()
    worker._received(b"not even readable")
    with pytest.raises(asyncio.CancelledError):
        await task
