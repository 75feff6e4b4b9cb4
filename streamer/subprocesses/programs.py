"""Starts programs through a supervisor process, which ends them when this process ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import itertools
import os
import pickle
import signal
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Final

from streamer.subprocesses.descriptors import SPARE, limit_of_children
from streamer.subprocesses.supervisor import LARGEST, end

SCARCE: Final = frozenset({errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""Errors of the system when a resource is exhausted; it may be available later."""

_KIND: Final = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_DGRAM
_BUFFER: Final = 1024 * 1024
_SCRIPT: Final = Path(__file__).with_name("supervisor.py")


class Programs:
    """Starts programs, each in its own session. Use `of_loop`: one supervisor is enough for all actions.

    The supervisor is started with the first program, and again if it dies; its programs are killed then.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._starting: dict[int, tuple[asyncio.Future[int], Callable[[int], None]]] = {}
        self._running: dict[int, tuple[int, Callable[[int], None]]] = {}
        self._socket: socket.socket | None = None
        self._end: weakref.finalize[Any, Any] | None = None
        self._taken = 0
        self._given_back: asyncio.Future[None] | None = None
        self.supervisor_pid: int | None = None

    def take(self) -> None:
        """Registers that the caller holds a program's pipes."""
        self._taken += 1

    def give_back(self) -> None:
        """Registers that the caller has closed them."""
        self._taken -= 1
        waited, self._given_back = self._given_back, None
        if waited is not None and not waited.done():
            waited.set_result(None)

    async def until_given_back(self) -> bool:
        """Waits until pipes are closed. Returns False immediately when no caller holds any."""
        if not self._taken:
            return False
        if self._given_back is None:
            self._given_back = asyncio.get_running_loop().create_future()
        # Several callers may wait for the same one.
        await asyncio.shield(self._given_back)
        return True

    @classmethod
    def of_loop(cls) -> Programs:
        """The instance of the running loop; its supervisor ends with the loop, or with this process at the latest."""
        loop = asyncio.get_running_loop()
        if loop not in _of_loops:
            _of_loops[loop] = cls()
        return _of_loops[loop]

    async def start(
        self,
        argv: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        streams: Sequence[int],
        on_end: Callable[[int], None],
    ) -> int:
        """Starts a program and returns its process id, which is also the id of its group and session.

        Args:
            argv: absolute path and arguments.
            cwd: the working directory.
            env: its whole environment.
            streams: descriptors of its stdin, stdout and stderr; the caller closes them afterwards.
            on_end: called on the loop with its exit status, or the negative number of the signal.

        Raises:
            OSError, ValueError: the system refuses to run it.
        """
        number = next(self._numbers)
        message = pickle.dumps(("start", number, list(argv), str(cwd), dict(env)))
        sock = self._connected()
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._starting[number] = (started, on_end)
        try:
            while True:
                try:
                    socket.send_fds(sock, [message], list(streams))
                except BlockingIOError:
                    await _writable(sock)
                else:
                    break
        except BaseException:
            del self._starting[number]
            raise
        try:
            return await started
        except asyncio.CancelledError:
            if not started.cancelled():
                self.signal(started.result(), signal.SIGKILL)
            raise

    def signal(self, group: int, number: int) -> None:
        """Sends a signal to a program's group; SIGKILL to its whole session."""
        # Directly: a supervisor that is stopped must not keep a program alive.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)
        if number == signal.SIGKILL and self._socket is not None:
            # It searches for processes of other groups, which would block the loop.
            with contextlib.suppress(OSError):
                self._socket.send(pickle.dumps(("end", group)))

    def _connected(self) -> socket.socket:
        """The socket to the supervisor, which is started if there is none.

        Raises:
            OSError: the system cannot start another process.
        """
        if self._socket is not None:
            return self._socket
        with SPARE.lent():
            return self._connect()

    def _connect(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, _KIND)
        try:
            for one in (ours, theirs):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
            process = subprocess.Popen(  # noqa: S603 - this interpreter and our own script
                [sys.executable, "-I", str(_SCRIPT), str(theirs.fileno()), str(limit_of_children())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)  # noqa: FBT003 - the standard library's own signature
        assert process.stdout is not None
        self._socket = ours
        self.supervisor_pid = process.pid
        self._end = weakref.finalize(loop, _close, ours, process)
        # Bound weakly: the loop that holds these is a key of ours.
        loop.add_reader(ours, self._receive, ours)
        loop.add_reader(process.stdout, self._died, ours, process.stdout)
        return ours

    def _receive(self, sock: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while data := sock.recv(LARGEST):
                self._handle(*pickle.loads(data))  # noqa: S301 - from our own supervisor

    def _handle(self, kind: str, number: int, *rest: Any) -> None:
        if kind == "ended":
            _, on_end = self._running.pop(number)
            on_end(rest[0])
            return
        started, on_end = self._starting.pop(number)
        if kind == "failed":
            code, text = rest
            if not started.done():
                started.set_exception(OSError(code, text) if code else ValueError(text))
            return
        (pid,) = rest
        if started.done():
            # Its caller has been cancelled meanwhile.
            self.signal(pid, signal.SIGKILL)
            on_end = _nothing
        else:
            started.set_result(pid)
        self._running[number] = (pid, on_end)

    def _died(self, sock: socket.socket, stdout: IO[bytes]) -> None:
        """The supervisor is gone: no other process would end its programs, or report how they ended."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(stdout)
        loop.remove_reader(sock)
        # What it reported before is still true.
        self._receive(sock)
        self._socket = None
        assert self._end is not None
        self._end()
        starting, self._starting = self._starting, {}
        running, self._running = self._running, {}
        for started, _ in starting.values():
            if not started.done():
                started.set_exception(OSError(errno.EAGAIN, "the process that starts programs has died"))
        for pid, on_end in running.values():
            end(pid)
            on_end(-signal.SIGKILL)


_of_loops: Final[weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Programs]] = weakref.WeakKeyDictionary()


def _close(sock: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """Lets the supervisor end, with everything that it runs."""
    sock.close()
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


async def _writable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    # With its own descriptor, since two calls may wait at one time.
    copy = os.dup(sock.fileno())
    loop.add_writer(copy, _set, ready)
    try:
        await ready
    finally:
        loop.remove_writer(copy)
        os.close(copy)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def _nothing(_status: int) -> None:
    """No caller waits for the end of this one."""
