"""Processes for CPU-bound handlers: each runs one job at a time, and is killed to stop a job."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from streamer.core.errors import INTERNAL_ERROR, Error
from streamer.core.foreign_code import describe
from streamer.core.messages import SILENT, Reporter, Request
from streamer.handlers.fair_queue import FairQueue, current_owner
from streamer.subprocesses import Child

CHILD: Final = "streamer.handlers.process_child:main"


class ProcessFailed(Exception):
    """The exception of a function in its process; the notes have the traceback from there, for the log."""


class ProcessPool:
    """At most `size` processes, started when needed. Further jobs wait: owners of requests take turns.

    Each process keeps its imports, so only its first job has to wait for them. The processes share our stdout and
    stderr.

    Args:
        size: how many functions may run at one time; 0: one per core that this process may use.
    """

    def __init__(self, size: int = 0) -> None:
        self.size = size or len(os.sched_getaffinity(0))
        self._waiting: FairQueue[asyncio.Future[_Worker]] = FairQueue()
        # A stack, so that running processes are reused before another is started.
        self._idle = [_Worker() for _ in range(self.size)]
        self._busy: set[_Worker] = set()
        self._closed = False

    async def run(self, function: Callable[..., Any], options: Mapping[str, Any], request: Request) -> Any:
        """The result or exception of `function(request, **options)`, in a process.

        If the caller is cancelled, the process is killed.

        Raises:
            Error: the function's own; or INTERNAL_ERROR, retryable, when the process died or could not be started.
            ProcessFailed: the function raised another exception, or its result cannot be sent back.
        """
        reporter = request.progress
        job = pickle.dumps((function, dict(options), msgspec.structs.replace(request, progress=SILENT)))
        worker = self._idle.pop() if self._idle else await self._next()
        try:
            if self._closed:
                raise Error(INTERNAL_ERROR, "The service is shutting down", retryable=True)
            self._busy.add(worker)
            return await worker.run(job, reporter)
        finally:
            self._busy.discard(worker)
            self._give(worker)

    async def _next(self) -> _Worker:
        """Waits until another job releases its process."""
        owner = current_owner()
        place: asyncio.Future[_Worker] = asyncio.get_running_loop().create_future()
        self._waiting.push(owner, place)
        try:
            return await place
        except asyncio.CancelledError:
            if place.cancelled():
                self._waiting.discard(owner, place)
            else:
                self._give(place.result())
            raise

    def _give(self, worker: _Worker) -> None:
        while self._waiting:
            place = self._waiting.pop()
            if not place.cancelled():
                place.set_result(worker)
                return
        self._idle.append(worker)

    async def close(self) -> None:
        """Kills running jobs and ends the processes. Waiting and running jobs fail as retryable."""
        self._closed = True
        for worker in self._busy:
            worker.abandon("The service is shutting down")
        await asyncio.gather(*(worker.close() for worker in self._idle))


class _Worker:
    """One process, and its current job."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._job: asyncio.Future[Any] | None = None
        self._reporter: Reporter = SILENT

    async def run(self, job: bytes, reporter: Reporter) -> Any:
        self._reporter = reporter
        self._job = asyncio.get_running_loop().create_future()
        try:
            child = self._child = self._child or await self._started()
            child.send(job)
            return await self._job
        except BaseException:
            if not self._job.done() or self._job.cancelled():
                self._kill()
            raise
        finally:
            self._job = None
            self._reporter = SILENT

    async def _started(self) -> Child:
        child = Child(CHILD, on_message=self._received, on_exit=self._died)
        try:
            await child.start()
        except asyncio.CancelledError:
            child.kill()
            raise
        except OSError as error:
            problem = Error(INTERNAL_ERROR, "The request could not be completed", retryable=True)
            problem.add_note(f"no process could be started for a CPU-bound handler: {error}")
            raise problem from error
        return child

    def abandon(self, why: str) -> None:
        """Ends the running job by killing its process."""
        self._kill()
        if self._job is not None and not self._job.done():
            self._job.set_exception(Error(INTERNAL_ERROR, why, retryable=True))

    async def close(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            await child.close()

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()

    def _died(self) -> None:
        child, self._child = self._child, None
        if child is not None and self._job is not None and not self._job.done():
            self._job.set_exception(_death(child.exit_status))

    def _received(self, message: bytes) -> None:
        if self._job is None or self._job.done():
            return
        try:
            kind, *rest = pickle.loads(message)  # noqa: S301 - from our own child, over a socket that nobody else has
        except BaseException as error:  # noqa: BLE001 - a class that cannot be made again here may raise anything
            self._job.set_exception(
                ProcessFailed(f"what the handler's function returned cannot be decoded: {describe(error)}")
            )
            return
        if kind == "progress":
            percentage, text, packed = rest
            try:
                self._reporter.report(percentage, text, **(pickle.loads(packed) if packed else {}))  # noqa: S301 - as above
            except BaseException:  # noqa: BLE001 - as above; or metadata under the name of an argument
                self._reporter.report(percentage, text)
        elif kind == "returned":
            self._job.set_result(rest[0])
        elif kind == "error":
            self._job.set_exception(_with_notes(Error(*rest[:3], retryable=rest[3]), rest[4]))
        else:
            self._job.set_exception(_with_notes(ProcessFailed(rest[0]), rest[1]))


def _with_notes(error: Exception, notes: list[str]) -> Exception:
    for note in notes:
        error.add_note(note)
    return error


def _death(status: int | None) -> Error:
    details: dict[str, Any] = {"exit": status}
    if status is not None and status < 0:
        details["signal"] = signal.strsignal(-status)
    return Error(INTERNAL_ERROR, "The process that ran the request died", details, retryable=True)
