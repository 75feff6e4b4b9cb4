"""Programs end with the process that started them, however that ends; and what started them is started again."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import uvloop

from streamer.subprocesses import descriptors, supervisor
from streamer.subprocesses.programs import Programs

pytestmark = pytest.mark.service  # it starts programs

SERVICE = """
import asyncio, os, signal, sys
from pathlib import Path
from streamer.subprocesses.programs import Programs

async def main():
    streams = [os.open("/dev/null", os.O_RDWR)] * 3
    source = '''set -m; trap "" TERM HUP; sleep 1000 & in_group=$!
set +m; setsid sleep 1000 & echo $! $in_group $$ > "$0.new"; mv "$0.new" "$0"; wait'''
    paths = [Path(sys.argv[1]) / name for name in ("one", "two")]
    for path in paths:
        await Programs().start(["/bin/sh", "-c", source, str(path)], cwd=Path("/"), env={"PATH": os.environ["PATH"]},
                               streams=streams, on_end=print)
    while not all(path.exists() for path in paths):
        await asyncio.sleep(0.005)
    print("up", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until_gone(pids) -> None:
    until = time.monotonic() + 30
    while any(map(is_alive, pids)):
        assert time.monotonic() < until, "they live on"
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGTERM])
def test_programs_end_with_a_killed_service_and_so_does_all_that_they_started(tmp_path, number):
    service = subprocess.Popen([sys.executable, "-c", SERVICE, str(tmp_path)], stdout=subprocess.PIPE)
    assert service.stdout.readline() == b"up\n"
    pids = [int(pid) for name in ("one", "two") for pid in (tmp_path / name).read_text().split()]
    assert all(map(is_alive, pids))
    service.send_signal(number)
    service.wait()
    service.stdout.close()
    until_gone(pids)


class Started:
    """A program whose end is awaited."""

    def __init__(self, programs: Programs, source: str) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self._programs, self._source = programs, source
        self.pid = 0

    async def start(self) -> Started:
        null = os.open(os.devnull, os.O_RDWR)
        try:
            argv = ["/bin/sh", "-c", self._source]
            env = {"PATH": os.environ["PATH"]}
            self.pid = await self._programs.start(
                argv, cwd=Path("/"), env=env, streams=[null] * 3, on_end=self.ended.set_result
            )
        finally:
            os.close(null)
        return self


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_how_each_ended_is_known(factory):
    async def main():
        programs = Programs.of_loop()
        assert Programs.of_loop() is programs
        started = [await Started(programs, source).start() for source in ("exit 3", "kill -9 $$", "exec sleep 1000")]
        programs.signal(started[2].pid, signal.SIGTERM)
        return [await one.ended for one in started]

    with asyncio.Runner(loop_factory=factory) as runner:
        assert runner.run(main()) == [3, -9, -15]


async def test_many_are_started_at_one_time():
    programs = Programs.of_loop()
    started = await asyncio.gather(*(Started(programs, f"exit {n}").start() for n in range(60)))
    assert [await one.ended for one in started] == list(range(60))


async def test_a_supervisor_that_died_takes_its_programs_along_and_is_started_again():
    programs = Programs.of_loop()
    first = await Started(programs, "trap '' TERM; sleep 1000").start()
    os.kill(programs.supervisor_pid, signal.SIGKILL)
    assert await first.ended == -signal.SIGKILL
    while is_alive(first.pid):
        await asyncio.sleep(0.002)
    again = await Started(programs, "exit 4").start()
    assert await again.ended == 4


async def test_what_was_being_started_by_a_supervisor_that_died_may_be_tried_again():
    programs = Programs.of_loop()
    await (await Started(programs, "exit 0").start()).ended
    os.kill(programs.supervisor_pid, signal.SIGSTOP)
    starting = asyncio.ensure_future(Started(programs, "exit 0").start())
    cancelled = asyncio.ensure_future(Started(programs, "exit 0").start())
    await asyncio.sleep(0)
    cancelled.cancel()
    await asyncio.sleep(0)
    os.kill(programs.supervisor_pid, signal.SIGKILL)
    with pytest.raises(BlockingIOError, match="has died"):
        await starting


async def test_a_supervisor_that_stands_still_delays_starts_and_keeps_no_program_alive():
    programs = Programs.of_loop()
    running = [await Started(programs, "exec sleep 1000").start() for _ in range(2)]
    os.kill(programs.supervisor_pid, signal.SIGSTOP)
    many = [asyncio.ensure_future(Started(programs, "exit 0" + " " * 60_000).start()) for _ in range(20)]
    for _ in range(5):
        await asyncio.sleep(0)
    many.pop().cancel()
    for one, number in zip(running, (signal.SIGTERM, signal.SIGKILL), strict=True):
        # More than the socket takes: the signals go to the programs themselves.
        programs.signal(one.pid, number)
    while any(is_alive(one.pid) for one in running):
        await asyncio.sleep(0.002)
    os.kill(programs.supervisor_pid, signal.SIGCONT)
    for one in await asyncio.gather(*many):
        assert await one.ended == 0
    assert [await one.ended for one in running] == [-15, -9]


async def test_a_signal_to_nobody_is_nothing():
    programs = Programs()
    programs.signal(1 << 22, signal.SIGTERM)
    programs.signal(1 << 22, signal.SIGKILL)


async def test_a_program_that_is_not_there_is_an_error():
    programs = Programs.of_loop()
    with pytest.raises(FileNotFoundError):
        await programs.start(["/no/such"], cwd=Path("/"), env={}, streams=[0, 1, 2], on_end=print)
    with pytest.raises(ValueError, match="null byte"):
        await programs.start(["/bin/true", "a\0b"], cwd=Path("/"), env={}, streams=[0, 1, 2], on_end=print)
    with pytest.raises(OSError, match="Too many open files"):
        await programs.start(["/bin/true"], cwd=Path("/"), env={}, streams=[0], on_end=print)


async def test_without_an_interpreter_nothing_is_left_open(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/interpreter")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError):
        await Started(Programs(), "exit 0").start()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_a_supervisor_that_does_not_end_is_killed():
    ours, theirs = socket.socketpair()
    stubborn = subprocess.Popen(["sleep", "1000"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    class Impatient:
        stdin, stdout, kill = stubborn.stdin, stubborn.stdout, stubborn.kill

        def wait(self, seconds=30):
            return stubborn.wait(min(seconds, 0.01) if stubborn.poll() is None and seconds == 5 else 30)

    from streamer.subprocesses import programs

    programs._close(ours, Impatient())
    theirs.close()
    assert stubborn.returncode == -9


def test_the_limit_of_descriptors_is_raised_and_programs_keep_the_one_of_before():
    source = (
        "import asyncio, os, resource\n"
        "from pathlib import Path\n"
        "from streamer.subprocesses.descriptors import raise_limit\n"
        "from streamer.subprocesses.programs import Programs\n"
        "async def main():\n"
        "    ended = asyncio.get_running_loop().create_future()\n"
        "    await Programs.of_loop().start(['/bin/sh', '-c', 'ulimit -n'], cwd=Path('/'), env={}, streams=[0, 1, 2],\n"
        "                                   on_end=ended.set_result)\n"
        "    await ended\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (100, 200))\n"
        "print(raise_limit(), raise_limit(), flush=True)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", source], stdout=subprocess.PIPE, check=True, text=True)
    assert done.stdout.split() == ["200", "200", "100"]


@pytest.mark.parametrize(
    ("soft", "hard", "wanted"),
    [(100, 200, 200), (100, -1, 1 << 20), (-1, -1, 1 << 20), (200, 200, 200)],
)
def test_the_limit_is_as_high_as_the_system_lets_it_be(monkeypatch, soft, hard, wanted):
    made = []
    monkeypatch.setattr(descriptors, "_started_with", [])
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(descriptors.resource, "setrlimit", lambda _, limits: made.append(limits))
    assert descriptors.limit_of_children() == -1
    assert descriptors.raise_limit() == wanted
    assert descriptors.limit_of_children() == soft
    assert made == ([(wanted, hard)] if soft == 100 else [])


def test_a_system_that_refuses_leaves_the_limit_as_it_is(monkeypatch):
    def refuse(*_):
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(descriptors, "_started_with", [])
    monkeypatch.setattr(descriptors.resource, "getrlimit", lambda _: (100, -1))
    monkeypatch.setattr(descriptors.resource, "setrlimit", refuse)
    assert descriptors.raise_limit() == 100


def test_ending_a_group_that_is_gone_is_nothing():
    supervisor.end(1 << 22)
