"""However a program ends, nothing of it stays behind: no descriptor, no process, no signal that was ignored."""

from __future__ import annotations

import asyncio
import errno
import gc
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from streamer.contracts.components import BuildContext
from streamer.core.clock import SystemClock
from streamer.core.context import current_leftovers
from streamer.core.errors import Error
from streamer.handlers import program
from streamer.handlers.command import build
from streamer.handlers.program import Program
from streamer.subprocesses.programs import Programs

pytestmark = [
    pytest.mark.service,  # it starts programs
    pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads /proc"),
]


class ShortGrace(SystemClock):
    """The machine's clock, but what is waited for passes at once."""

    async def sleep(self, seconds):
        await asyncio.sleep(0.02)


@pytest.fixture
def run(tmp_path, log, request_of):
    async def go(source: str, payload=None, *, clock=None, **options):
        context = BuildContext(base_dir=tmp_path, logger=log, clock=clock or SystemClock())
        handler = build({"argv": ["sh", "-c", source], **options}, context)
        return (await handler.process(request_of(payload))).data

    return go


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def until_gone(pid: int) -> None:
    while is_alive(pid):
        await asyncio.sleep(0.002)


ENDINGS = {
    "a result": "echo '{\"result\": 1}'",
    "nothing": "exit 0",
    "a failure": "exit 3",
    "a death": "kill -9 $$",
    "no protocol": "echo nonsense; exec sleep 1000",
    "a timeout": "exec sleep 1000",
    "outputs closed early": "exec >&- 2>&-; sleep 0.01",
    "input closed early": "exec <&-; sleep 0.01",
}


async def test_no_ending_leaks_a_descriptor(run, tmp_path, request_of):
    async def every() -> None:
        for source in ENDINGS.values():
            await asyncio.gather(run(source, "x" * 200_000, timeout="60ms"), return_exceptions=True)
        cancelled = asyncio.ensure_future(run("exec sleep 1000"))
        await asyncio.sleep(0.02)
        cancelled.cancel()
        never_started = asyncio.ensure_future(run("exec sleep 1000"))
        await asyncio.sleep(0)
        never_started.cancel()
        await asyncio.gather(cancelled, never_started, return_exceptions=True)
        (tmp_path / "gone").mkdir()
        missing = build({"argv": ["sh"], "cwd": "gone"}, BuildContext(base_dir=tmp_path))
        (tmp_path / "gone").rmdir()
        with pytest.raises(Error, match="could not be started"):
            await missing.process(request_of())

    await every()
    gc.collect()
    before = descriptors()
    for _ in range(4):
        await every()
    assert descriptors() <= before


async def test_a_program_gets_three_descriptors_and_none_of_ours(run):
    names = await run("""python3 -c 'import os; print("{\\"result\\": %d}" % len(os.listdir("/proc/self/fd")))'""")
    assert names == 4, "the fourth is the folder that is listed"


async def test_a_program_begins_with_no_signal_ignored_or_blocked(run):
    before = {number: signal.getsignal(number) for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
    ask = """awk '/^%s/ {print "{\\"result\\": \\"" $2 "\\"}"}' /proc/self/status"""
    try:
        masks = [await run(ask % name) for name in ("SigBlk", "SigIgn")]
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1, signal.SIGTERM})
        for number, handler in before.items():
            signal.signal(number, handler)
    assert [int(mask, 16) for mask in masks] == [0, 0]


HELPER = "sleep 1000 </dev/null >/dev/null 2>&1 & "


async def test_a_helper_that_was_detached_lives_on_and_is_not_waited_for(run):
    pid = await run(f"nohup {HELPER} echo '{{\"result\": '$!'}}'")
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
    await until_gone(pid)


@pytest.mark.parametrize("grouped", [True, False], ids=["in its group", "in another group of its session"])
async def test_what_a_stopped_program_has_started_ends_with_it(run, grouped, recorder):
    told = 'echo \'{"progress": 1, "message": "\'$!\'"}\'; wait'
    source = "trap '' TERM; " + ("" if grouped else "set -m; ") + HELPER + told
    up = asyncio.Event()
    recorder.on_report = up.set
    running = asyncio.ensure_future(run(source, clock=ShortGrace()))
    await up.wait()
    pid = int(recorder.reports[0][1])
    assert is_alive(pid)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await until_gone(pid)


@pytest.mark.parametrize(
    "flood",
    ["head -c 1000000 /dev/zero | tr '\\0' '\\n'", "yes '{\"progress\": 1}' | head -n 30000",
     "head -c 1000000 /dev/zero | tr '\\0' '\\n' >&2", "yes x | head -n 200000 >&2"],
    ids=["empty lines", "progress", "empty lines of stderr", "short lines of stderr"],
)  # fmt: skip
async def test_a_flood_leaves_the_loop_to_others(run, flood):
    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(turn)

    await run("exit 0")
    turn()
    assert await run(flood + "; echo '{\"result\": 1}'") == 1
    assert turns > 20, "at most 16 KiB in each turn"


async def test_a_flood_of_empty_lines_on_stderr_is_not_logged(run, log):
    await run("yes '' | head -n 5000 >&2; echo there >&2")
    assert [line[:2] for line in log.lines] == [("info", "sh: there")]


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS])
async def test_what_the_system_is_short_of_now_may_be_there_later(run, monkeypatch, code):
    def refuse():
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "pipe", refuse)
    with pytest.raises(Error) as caught:
        await run("exit 0")
    assert caught.value.retryable
    assert os.strerror(code) in caught.value.__notes__[0]


async def test_pipes_that_were_made_are_closed_where_the_next_is_refused(run, monkeypatch):
    await run("exit 0")
    before, pipe, made = descriptors(), os.pipe, []

    def refuse_third():
        made.append(1)
        if len(made) == 3:
            raise OSError(errno.EMFILE, "Too many open files")
        return pipe()

    with monkeypatch.context() as patch:
        patch.setattr(os, "pipe", refuse_third)
        with pytest.raises(Error):
            await run("exit 0")
    assert descriptors() == before


async def test_a_program_that_cannot_be_killed_keeps_the_slot_of_its_request(run, monkeypatch):
    monkeypatch.setattr(Programs, "signal", lambda *_: None)
    left: list[asyncio.Future[None]] = []
    current_leftovers.set(left)
    with pytest.raises(Error, match="took longer"):
        await run("sleep 1", timeout="10ms", clock=ShortGrace())
    (ended,) = left
    assert not ended.done()
    await ended


async def test_numbers_and_text_of_any_kind_reach_the_program_whole(run):
    payload = json.loads(json.dumps({"ü": "x" * 300_000, "n": [1, None]}))
    program = f"{sys.executable} -c 'import json, sys; print(json.dumps(dict(result=json.load(sys.stdin))))'"
    assert await run(program, payload) == payload


async def test_a_program_that_is_started_while_its_request_is_cancelled_is_killed(tmp_path):
    mark = tmp_path / "ran"
    starting = asyncio.ensure_future(
        Program.start(
            ["/bin/sh", "-c", f"sleep 0.2; touch {mark}"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"]},
            stdin=b"",
            on_stdout=bytes,
            on_stderr=bytes,
            clock=None,
            grace=1.0,
        )
    )
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    programs = Programs.of_loop()
    while programs._starting or programs._running:
        await asyncio.sleep(0.002)
    assert not mark.exists()


@pytest.fixture
def few_pipes(monkeypatch):
    """The system has pipes for one program at a time."""
    real, let_go = program._pipes, Program._let_go
    held = []

    def pipes():
        if held:
            raise OSError(errno.EMFILE, "Too many open files")
        held.append(1)
        return real()

    def given_back(self):
        held.clear()
        let_go(self)

    monkeypatch.setattr(program, "_pipes", pipes)
    monkeypatch.setattr(Program, "_let_go", given_back)
    return held


async def test_programs_wait_for_the_descriptors_of_those_that_run_before_them(run, few_pipes):
    async with asyncio.timeout(90):
        assert await asyncio.gather(*(run('echo "{\\"result\\": 1}"') for _ in range(5))) == [1] * 5


async def test_one_that_waits_for_descriptors_may_be_cancelled_and_the_others_go_on(run, few_pipes):
    first = asyncio.ensure_future(run("sleep 0.2"))
    await asyncio.sleep(0)
    waiting = [asyncio.ensure_future(run('echo "{\\"result\\": 1}"')) for _ in range(2)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()
    async with asyncio.timeout(90):
        assert await waiting[1] == 1
        await first


async def test_where_no_program_runs_nobody_waits_for_descriptors(run, few_pipes):
    few_pipes.append(1)
    with pytest.raises(Error) as caught:
        await run("true")
    assert caught.value.retryable
