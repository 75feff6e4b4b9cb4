"""Starts programs for a service, and ends them when the service has ended, even by SIGKILL.

A separate script: `python -I supervisor.py SOCKET SOFT_LIMIT`. Its standard input is a pipe that only the service holds
open. It imports only the standard library, so that it starts fast and stays small. Messages are pickled tuples, one in
each packet of the socket:

    from the service    ("start", number, argv, cwd, env), with three descriptors; ("end", pid)
    to the service      ("started", number, pid), ("failed", number, errno, text), ("ended", number, exit status)
"""

import contextlib
import errno
import os
import pickle
import resource
import selectors
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import Any

LARGEST = 1024 * 1024
"""Bytes of a packet; the system's own limit is lower."""
_STREAMS = 3


class Supervisor:
    """Runs programs until the service is gone.

    Args:
        service: the socket to it.
        lifeline: a descriptor that closes when the service ends.
    """

    def __init__(self, service: socket.socket, lifeline: int) -> None:
        self._service = service
        self._lifeline = lifeline
        self._numbers: dict[int, int] = {}
        """Of each running process."""

    def serve(self) -> None:
        """Returns when the service is gone and no program runs any longer."""
        woken, wake = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, _go_on)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            for source in (woken, self._lifeline, self._service.fileno()):
                selector.register(source, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if self._lifeline in ready:
                    break
                if woken in ready:
                    with contextlib.suppress(BlockingIOError):
                        os.read(woken, 4096)
                    self._reap()
                if self._service.fileno() in ready and not self._receive():
                    break
        for pid in self._numbers:
            end(pid)

    def _receive(self) -> bool:
        """Handles one message. False when no others will come."""
        data, descriptors, _, _ = socket.recv_fds(self._service, LARGEST, _STREAMS)
        if not data:
            return False
        try:
            message = pickle.loads(data)  # noqa: S301 - from our own service, over a socket that nobody else has
            if message[0] == "start":
                _, number, argv, cwd, env = message
                self._start(number, argv, cwd, env, descriptors)
            else:
                end(message[1])
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        return True

    def _start(self, number: int, argv: list[str], cwd: str, env: dict[str, str], streams: list[int]) -> None:
        if len(streams) != _STREAMS:
            self._tell("failed", number, errno.EMFILE, os.strerror(errno.EMFILE))
            return
        try:
            process = subprocess.Popen(  # noqa: S603 - the operator's own program, without a shell
                argv, cwd=cwd, env=env, stdin=streams[0], stdout=streams[1], stderr=streams[2], start_new_session=True
            )
        except (OSError, ValueError, MemoryError) as problem:
            self._tell("failed", number, (isinstance(problem, OSError) and problem.errno) or 0, str(problem))
            return
        # Its status is collected here; the object must neither wait for it nor warn about it.
        process.returncode = 0
        self._numbers[process.pid] = number
        self._tell("started", number, process.pid)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            if (number := self._numbers.pop(pid, None)) is not None:
                self._tell("ended", number, os.waitstatus_to_exitcode(status))

    def _tell(self, *message: Any) -> None:
        # The lifeline shows when the service is gone.
        with contextlib.suppress(OSError):
            self._service.send(pickle.dumps(message))


def end(leader: int) -> None:
    """Kills a program's process group and, where the system shows them, members of its session in other groups, and
    descendants in other sessions whose parents still run.
    """
    # Before the first of them is killed: an orphan's original parent is unknown.
    family = _family(leader)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
    for pid in family:
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def _family(leader: int) -> set[int]:
    """All processes of a session, and their descendants in any session."""
    children: dict[int, list[int]] = {}
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            _, parent, _, session, *_ = entry.read_bytes().rpartition(b")")[2].split()
            pid = int(entry.parent.name)
            children.setdefault(int(parent), []).append(pid)
            if int(session) == leader:
                found.append(pid)
    family: set[int] = set()
    while found:
        pid = found.pop()
        if pid not in family:
            family.add(pid)
            found += children.get(pid, [])
    return family


def _go_on(_number: int, _frame: FrameType | None) -> None:
    """Ignores a signal. A program does not inherit this, unlike an ignored signal."""


def reset_signals() -> None:
    """Programs start with every signal unblocked and none ignored, whatever the service inherited."""
    for number in signal.valid_signals():
        # Signals that cannot be caught raise an error; Python ignores SIGPIPE itself, and restores it for programs.
        with contextlib.suppress(OSError, ValueError):
            if signal.getsignal(number) is signal.SIG_IGN and number != signal.SIGPIPE:
                signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        signal.signal(number, _go_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def main(arguments: list[str]) -> None:
    """Serves over the descriptor in the first argument; the second is the programs' limit of descriptors."""
    descriptor, soft = map(int, arguments)
    reset_signals()
    if soft >= 0:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - as above
    with socket.socket(fileno=descriptor) as service:
        service.setblocking(True)  # noqa: FBT003 - as above
        Supervisor(service, sys.stdin.fileno()).serve()


if __name__ == "__main__":
    main(sys.argv[1:])
