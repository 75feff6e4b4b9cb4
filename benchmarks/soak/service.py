"""The service under the soak: a real process on SQLite, started, killed, drained, and hindered from outside."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from benchmarks.processes import ROOT, family
from benchmarks.soak.entry import OFFSET

CONFIG = """\
version: 1
service: {{name: soak}}
server: {{host: 127.0.0.1, port: {port}, drain_timeout: 2s, max_buffered: 64KiB}}
backends: {{store: {{use: sqlite, path: ./soak.db}}}}
worker: {{lease: {lease:g}s, poll_interval: 250ms, processes: 1, threads: 16}}
logs: {{format: json, level: info}}
actions:
  echo: {{handler: echo, mode: sync}}
  queued: {{handler: echo, mode: async, retry: {{max_attempts: 1000}}}}
  urgent: {{handler: echo, mode: async, priority: 10, retry: {{max_attempts: 1000}}}}
  nap: {{handler: delay, with: {{delay: 400ms}}, mode: async, retry: {{max_attempts: 1000}}}}
  long: {{handler: delay, with: {{delay: 1h}}, mode: async, concurrency: 2000, retry: {{max_attempts: 1000}}}}
  left: {{handler: delay, with: {{delay: 1h}}, mode: async, on_disconnect: {{cancel_after: 1s}}}}
  fragile: {{handler: delay, with: {{delay: 200ms}}, mode: async, expires_after: 5s}}
  flaky: {{handler: soak.flaky, retry: {{max_attempts: 1000, initial: 700ms, max: 1s}}}}
  broken: {{handler: soak.broken, retry: {{max_attempts: 2, initial: 50ms}}}}
  thread: {{handler: soak.thread, retry: {{max_attempts: 1000}}}}
  crunch: {{handler: soak.crunch, retry: {{max_attempts: 1000}}}}
  big: {{handler: soak.big, mode: async, retry: {{max_attempts: 1000}}}}
"""
LEASE = 4.0
"""Seconds."""
STOP_TIMEOUT = 30.0


def _signal_all(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


class Service:
    """One life after another on the same file and port.

    Args:
        folder: where the file, the clock and the logs lie.
        port: where it listens.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.database = folder / "soak.db"
        self.port = port
        self.lives = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._clock = folder / "clock"
        self._clock.write_bytes(OFFSET.pack(0.0))
        (folder / "streamer.yaml").write_text(CONFIG.format(port=port, lease=LEASE))
        announced = folder / "site" / "streamer_soak-1.0.dist-info"
        announced.mkdir(parents=True)
        (announced / "METADATA").write_text("Metadata-Version: 2.1\nName: streamer-soak\nVersion: 1.0\n")
        (announced / "entry_points.txt").write_text("[streamer]\nsoak = streamer_soak\n")
        paths = [str(announced.parent), str(Path(__file__).parent / "plugin"), os.environ.get("PYTHONPATH", "")]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def start(self) -> None:
        self.lives += 1
        with self.log(self.lives).open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.soak.entry", str(self.folder / "streamer.yaml"), str(self._clock)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
            )

    def log(self, life: int) -> Path:
        return self.folder / f"service-{life:04}.log"

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def was_ready(self) -> bool:
        """Whether this life had come so far that it took requests."""
        return '"ready"' in self.log(self.lives).read_text(errors="replace")

    def kill(self) -> None:
        """By SIGKILL, and its children notice by themselves."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def take_over(self) -> subprocess.Popen[bytes]:
        """SIGTERM, and at once another that waits for it. Returns the one that drains."""
        before = self._process
        assert before is not None
        before.send_signal(signal.SIGTERM)
        self.start()
        return before

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(STOP_TIMEOUT)

    def kill_child(self, what: str) -> bool:
        """Kills the child that runs `what` by SIGKILL. Returns whether there was one."""
        child = self._child(what)
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
                return True
        return False

    @contextlib.contextmanager
    def stopped(self):
        """Neither the service nor anything that it started gets the processor."""
        assert self._process is not None
        pids = [self._process.pid, *family(self._process.pid)]
        _signal_all(pids, signal.SIGSTOP)
        try:
            yield
        finally:
            _signal_all(pids, signal.SIGCONT)

    @contextlib.contextmanager
    def stopped_child(self, what: str):
        """The child that runs `what` does not get the processor. Yields whether there is one."""
        child = self._child(what)
        pids = [] if child is None else [child]
        _signal_all(pids, signal.SIGSTOP)
        try:
            yield bool(pids)
        finally:
            _signal_all(pids, signal.SIGCONT)

    @contextlib.contextmanager
    def disk_refuses(self):
        """The kernel refuses every write of the store's writer that lies beyond the first page of a file.

        By RLIMIT_FSIZE from outside, which needs no rights: write(2) fails with EFBIG, and SQLite reports an I/O
        error. A full disk fails with ENOSPC instead, and may also refuse to begin files.
        """
        writer = self._child("stores.sqlite")
        if writer is None:
            yield False
            return
        try:
            before = resource.prlimit(writer, resource.RLIMIT_FSIZE)
            resource.prlimit(writer, resource.RLIMIT_FSIZE, (4096, before[1]))
        except ProcessLookupError:
            yield False
            return
        try:
            yield True
        finally:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(writer, resource.RLIMIT_FSIZE, before)

    def set_clock(self, offset: float) -> None:
        with self._clock.open("r+b") as file:
            file.write(OFFSET.pack(offset))

    def _child(self, what: str) -> int | None:
        if not self.alive:
            return None
        assert self._process is not None
        for pid in family(self._process.pid):
            with contextlib.suppress(OSError):
                if what.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return None
