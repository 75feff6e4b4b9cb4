"""One attempt of one queued request: from the claim to the written outcome."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec

from streamer.contracts.stores import Lease
from streamer.core.attempts import Outcome
from streamer.core.current import current_request
from streamer.core.errors import CANCELLED, INVALID_ACTION, Error, LeaseLost, StoreClosed, StoreError
from streamer.core.foreign import is_being_closed, task_is_cancelled
from streamer.core.interruption import may_be_interrupted
from streamer.core.leftovers import current_leftovers
from streamer.core.messages import ErrorMessage, Request, Result
from streamer.core.records import RequestRecord
from streamer.engine.boundary import UNEXPECTED, CancelledFromWithinError, boundary_error, log_notes
from streamer.engine.codec import encode_json, sendable_body
from streamer.engine.outcomes import complete_message, stored_result, terminal_message
from streamer.engine.progress import JobReporter
from streamer.engine.routes import Route
from streamer.engine.sizes import fitting
from streamer.engine.waiting import STOP_GRACE, bounded, ends_within

if TYPE_CHECKING:
    from streamer.engine.worker import Worker

_RETRY_WRITE = (0.1, 0.5, 1.0, 2.0, 5.0)
"""Waits between tries to write an outcome that the store refused; the last one repeats while the lease lives."""


_LEFT_GRACE = STOP_GRACE - 1.0
"""Seconds in which a function that outlived its attempt should end before the claim is given back; less than a drain
waits for the whole."""


_INTERRUPTIONS = {"release": Outcome.RELEASED.value, "lost": Outcome.LOST.value, "cancelled": CANCELLED}


class Job:
    """One attempt. It owns a task; `stop` ends the handler, the outcome depends on why.

    Args:
        worker: runs it.
        record: the claim.
        limit: seconds that the handler may take at most, whatever its action says.
        after: an older attempt of the same request, which must really have ended before this one begins.
    """

    __slots__ = (
        "_after",
        "_begun",
        "_limit",
        "_reason",
        "_task",
        "_worker",
        "completed",
        "lease",
        "left_over",
        "record",
        "reporter",
        "retry_at",
        "started",
        "writing",
    )

    def __init__(
        self, worker: Worker, record: RequestRecord, limit: float | None = None, after: Job | None = None
    ) -> None:
        self._worker = worker
        self._after = after
        self.left_over: list[asyncio.Future[Any]] = []
        """What goes on after its handler was cancelled, such as a function in a thread: done when that has ended."""
        self._limit = limit
        self.retry_at: float | None = None
        """When it is due again, as wall-clock seconds, once the attempt has ended so."""
        self._task: asyncio.Task[None] | None = None
        self._begun = False
        self._reason = ""
        self.writing = False
        """Its handler has ended, and its outcome is about to be written down."""
        self.completed = False
        """Its result is written down."""
        self.record = record
        self.lease = Lease(record.owner, record.id, record.fence)
        self.reporter = JobReporter(worker.pump, self, record.fence)
        self.started = worker.clock.monotonic()

    def start(self) -> None:
        """Begins to run."""
        self._task = asyncio.create_task(self._run())

    def stop(self, reason: str) -> None:
        """Cancels the handler: `release` gives the claim back to the queue, `lost` leaves it to whoever has it,
        `cancelled` says that the request has ended, and that those who follow it know.

        An outcome that is being written is not cut off: it is about to end the attempt by itself.
        """
        if not self._reason and self._task is not None:
            self._reason = reason
            if reason != "release":
                self.reporter.close()
            # A task that is cancelled before its first step never runs at all: it finds the reason when it begins.
            if self._begun and not self.writing:
                self._task.cancel()
                if reason != "release":
                    self._worker.insist(self)

    async def ended(self) -> None:
        """Returns when nothing of it runs any more."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def really_ended(self) -> None:
        """Returns when neither it nor anything that it left over runs any more."""
        await self.ended()
        if self._after is not None:
            # It was stopped while it waited for that one.
            await self._after.really_ended()
        await self._left_over_ended()

    async def _left_over_ended(self) -> None:
        if self.left_over:
            await asyncio.wait(self.left_over)

    def cancel_again(self) -> None:
        """Cancels a handler that took its cancellation for something to tidy up after, and went on."""
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        worker = self._worker
        self._begun = True
        try:
            if self._reason:
                raise asyncio.CancelledError  # noqa: TRY301 - ends like one that was stopped later
            await self._until_alone()
            route = worker.routes.get(self.record.action)
            try:
                if route is None:
                    raise Error(INVALID_ACTION, f"The action {self.record.action!r} is no longer declared")  # noqa: TRY301 - ends like a handler's own error
                result = await self._handle(route)
                # Encoded before it is written: what is not JSON is the handler's error, not the store's.
                stored = stored_result(result, worker.max_result_size)
            except Error as error:
                log_notes(error, worker.logger, **self._context())
                await self._fail(route, error, error)
            except UNEXPECTED as problem:
                if isinstance(problem, asyncio.CancelledError) or is_being_closed(problem):
                    raise
                answer = boundary_error(problem, worker.logger, expose=worker.expose_errors, **self._context())
                await self._fail(route, answer, problem)
            else:
                try:
                    await self._complete(stored)
                except Error as error:
                    # The store takes no such result, and never will: the request ends with what it says.
                    await self._fail(route, error, error)
        except asyncio.CancelledError:
            if self._reason in ("lost", "cancelled"):
                await self._lost()
            else:
                await self._release()
        except LeaseLost:
            await self._lost()
        finally:
            self.reporter.close()
            worker.finished(self)

    def _context(self) -> dict[str, Any]:
        return {"request_id": self.record.id, "action": self.record.action, "attempt": self.record.attempts}

    async def _until_alone(self) -> None:
        if self._after is not None:
            await self._after.really_ended()
            self._after = None

    async def _handle(self, route: Route) -> Result:
        record = self.record
        request = Request(
            id=record.id,
            action=record.action,
            payload=msgspec.json.decode(record.payload),
            metadata=record.metadata,
            connection_id=record.connection_id,
            owner=record.owner,
            principal=record.principal,
            created_at=record.created_at,
            attempt=record.attempts,
            queued=True,
            progress=self.reporter,
        )
        current_request.set(request)
        may_be_interrupted(lambda: _INTERRUPTIONS.get(self._reason, ""))
        current_leftovers.set(self.left_over)
        try:
            limit = route.timeout if self._limit is None else min(self._limit, route.timeout or self._limit)
            if limit is None:
                value: Any = await route.pipeline.queued(request)
            else:
                value = await bounded(route.pipeline.queued(request), limit)
        except asyncio.CancelledError:
            if task_is_cancelled():
                raise
            raise CancelledFromWithinError from None
        return value if isinstance(value, Result) else Result(data=value)

    async def _complete(self, stored: bytes) -> None:
        worker, record = self._worker, self.record
        seq = await self._last_seq()
        progress = worker.last_report(self)
        await self._write(lambda: worker.queue.complete(self.lease, seq=seq, result=stored, progress=progress))
        self.completed = True
        if worker.delivery.followed(record.key):
            await worker.delivery.terminal(record.key, complete_message(record.id, seq, stored, worker.clock.now()))

    async def _fail(self, route: Route | None, error: Error, problem: BaseException) -> None:
        worker, record = self._worker, self.record
        if self._reason:
            # Told to stop, the handler ended with an error instead: that is no outcome of the request.
            raise asyncio.CancelledError from error
        body = fitting(sendable_body(error), worker.max_result_size)
        retry = route.retry if route is not None and body.retryable and record.attempts < record.max_attempts else None
        if retry is not None:
            # One request never runs twice at one time: the claim is kept until a function that goes on has ended.
            await self._left_over_ended()
        seq = await self._last_seq()
        cause = worker.causes(problem)
        progress = worker.last_report(self)
        if retry is not None:
            retry_at = worker.clock.now() + retry.delay(record.attempts, worker.generator)
            await self._write(
                lambda: worker.queue.fail(
                    self.lease, seq=seq, error=body, retry_at=retry_at, cause=cause, progress=progress
                )
            )
            self.retry_at = retry_at
            return
        await self._write(lambda: worker.queue.fail(self.lease, seq=seq, error=body, cause=cause, progress=progress))
        await worker.delivery.terminal(record.key, encode_json(ErrorMessage(body, record.id, seq)))

    async def _last_seq(self) -> int:
        """Sends the last report. The handler has ended: nothing but its outcome is left to tell."""
        self.writing = True
        await self._worker.pump.flush(self.reporter)
        self.reporter.close()
        # Not counted: whoever resumes while the outcome is being written is told the state before it, and must not
        # be told the outcome's own number, or would take the outcome for something it has already.
        return self.reporter.seq + 1

    async def _write(self, write: Any) -> None:
        """Writes the outcome, again and again while the store refuses: work that was done must not be lost.

        Once the worker stops, or the store is closed, it gives up; the claim then runs out, and the request is tried
        again.
        """
        worker = self._worker
        tries = 0
        while True:
            try:
                await write()
            except LeaseLost:
                raise
            except StoreError as problem:
                if self._reason or isinstance(problem, StoreClosed):
                    raise asyncio.CancelledError from problem
                worker.complaints.tell(
                    "an outcome could not be written; trying again", request_id=self.record.id, error=str(problem)
                )
                await worker.clock.sleep(_RETRY_WRITE[min(tries, len(_RETRY_WRITE) - 1)])
                tries += 1
            else:
                return

    async def _release(self) -> None:
        # Its owner may ask for it before its next attempt, and must not be told less than it was sent.
        await self._worker.save_last(self)
        if self.left_over and not await ends_within(_LEFT_GRACE, self._left_over_ended(), self._worker.clock):
            # Whoever claims it next must not run it beside the function that goes on here.
            self._worker.release_at_end(self)
        else:
            await self._worker.release([self.lease])

    async def _lost(self) -> None:
        """Somebody else ended or owns the request; if it was ended, those who wait here are told."""
        if self._reason == "cancelled":
            return
        worker = self._worker
        worker.logger.warning("claim lost", request_id=self.record.id, action=self.record.action)
        try:
            record = await worker.queue.get(self.record.key)
        except StoreError:
            return
        if record is not None and record.terminal:
            await worker.delivery.terminal(record.key, terminal_message(record))
