"""Servers as processes: started, pinned, waited for, ended; and what they cost the processor."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.servers import service

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT = 30.0
STOP_TIMEOUT = 40.0
MODULES = {"raw": "benchmarks.servers.raw", "fastapi": "benchmarks.servers.fastapi_echo"}
PATHS = {"raw": "/", "fastapi": "/ws", "streamer": "/ws", "streamer-metrics": "/ws"}
_TICKS = os.sysconf("SC_CLK_TCK")


class ServerFailed(Exception):
    """A server did not start; the message ends with what it said."""


class Server:
    """One that answers on `url`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int) -> None:
        self.name = name
        self.pid = process.pid
        self.url = f"ws://127.0.0.1:{port}{PATHS[name]}"


@contextlib.contextmanager
def server(name: str, cores: set[int]) -> Iterator[Server]:
    """Runs `raw`, `fastapi`, `streamer`, or `streamer-metrics`, which is the same with its admin port open.

    All its processes are on the given cores.

    Raises:
        ServerFailed: it ended, or did not answer in time.
    """
    port = _free_port()
    # Beside the code and not in /tmp, which may be memory: the store's fsync must reach a disk.
    scratch = ROOT / "benchmarks" / "results"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix=f"{name}-") as folder:
        if name.startswith("streamer"):
            command, environment = service.prepare(Path(folder), port, metrics=name.endswith("-metrics"))
        else:
            command, environment = [sys.executable, "-m", MODULES[name], str(port)], dict(os.environ)
        log = Path(folder) / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                preexec_fn=lambda: os.sched_setaffinity(0, cores),  # noqa: PLW1509 - this program has no threads
            )
        try:
            try:
                _wait_until_open(process, port, log)
            except ServerFailed as problem:
                raise ServerFailed(f"{name}: {problem}") from None
            yield Server(name, process, port)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and its children so far, in seconds."""
    total = 0.0
    for process in family(pid):
        with contextlib.suppress(FileNotFoundError):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / _TICKS
    return total


def machine_cpu_seconds() -> float:
    """Processor time of everything on this machine so far, in seconds of one core."""
    first = Path("/proc/stat").read_text().partition("\n")[0].split()
    user, nice, system, _idle, _waiting, *rest = map(int, first[1:9])
    return (user + nice + system + sum(rest)) / _TICKS


def family(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                yield from family(int(child))


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def _wait_until_open(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        if process.poll() is not None:
            raise ServerFailed(f"it ended with status {process.returncode}:\n{log.read_text()[-2000:]}")
        with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if time.monotonic() > deadline:
            raise ServerFailed(f"it did not listen within {START_TIMEOUT:g} s:\n{log.read_text()[-2000:]}")
        time.sleep(0.05)
