"""One attempt of one queued request: from the claim to the written outcome."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from streamer.contracts.stores import Lease, RequestQueue
from streamer.core.attempts import Cause
from streamer.core.clock import Clock
from streamer.core.context import current_leftovers, current_request, may_be_interrupted
from streamer.core.errors import INVALID_ACTION, Error, LeaseLost, StoreError
from streamer.core.foreign_code import is_being_closed, task_is_cancelled
from streamer.core.messages import ErrorMessage, Request, Result
from streamer.core.records import RequestRecord, Status
from streamer.engine.attempt_states import AttemptState, StopReason
from streamer.engine.background import BackgroundTasks
from streamer.engine.boundary import UNEXPECTED, CancelledFromWithinError, boundary_error, log_notes
from streamer.engine.codec import NOT_JSON, encode_json, sendable_body
from streamer.engine.delivery import Delivery
from streamer.engine.leases import LeaseKeeper
from streamer.engine.outcome_writer import OutcomeWriter
from streamer.engine.outcomes import complete_message, stored_result, terminal_message
from streamer.engine.progress import AttemptReporter
from streamer.engine.progress_writer import ProgressWriter
from streamer.engine.routes import Route
from streamer.engine.sizes import fitting
from streamer.engine.timeouts import STOP_GRACE, bounded, wait_up_to

_LEFT_GRACE = STOP_GRACE - 1.0
"""Seconds in which a function that outlived its attempt should end before the claim is returned; less than the drain
timeout.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptServices:
    """The dependencies of all attempts of a worker. Created once by the worker."""

    queue: RequestQueue
    routes: Mapping[str, Route]
    delivery: Delivery
    clock: Clock
    logger: Any
    outcomes: OutcomeWriter
    progress: ProgressWriter
    leases: LeaseKeeper
    background: BackgroundTasks
    max_result_size: int
    expose_errors: bool
    """Send the text of unexpected exceptions to clients (development only)."""
    causes: Callable[[BaseException], Cause]
    """Converts an exception to the cause that operators see with the attempt."""
    generator: random.Random
    """Of the jitter between attempts."""


class RunningAttempt:
    """One attempt. It owns a task; `stop` ends the handler, and the outcome depends on the reason.

    Args:
        services: its dependencies.
        record: the claim.
        on_ended: called when it has nothing left to do.
        limit: maximum seconds of the handler, whatever its action says.
        after: an older attempt of the same request, which must have ended completely before this one starts.
    """

    __slots__ = (
        "_after",
        "_limit",
        "_on_ended",
        "_reason",
        "_services",
        "_task",
        "lease",
        "left_over",
        "record",
        "reporter",
        "retry_at",
        "started",
        "state",
    )

    def __init__(
        self,
        services: AttemptServices,
        record: RequestRecord,
        on_ended: Callable[[RunningAttempt], None],
        limit: float | None = None,
        after: RunningAttempt | None = None,
    ) -> None:
        self._services = services
        self._on_ended = on_ended
        self._after = after
        self.left_over: list[asyncio.Future[Any]] = []
        """What continues after its handler was cancelled, such as a function in a thread: done when that has ended."""
        self._limit = limit
        self.retry_at: float | None = None
        """When the request is due again, in wall-clock seconds, after this attempt has ended."""
        self._task: asyncio.Task[None] | None = None
        self._reason: StopReason | None = None
        self.state = AttemptState.STARTING
        self.record = record
        self.lease = Lease(record.owner, record.id, record.fence)
        self.reporter = AttemptReporter(services.progress.pump, self, record.fence)
        self.started = services.clock.monotonic()

    def start(self) -> None:
        """Starts to run."""
        self._task = asyncio.create_task(self._run())

    def stop(self, reason: StopReason) -> None:
        """Cancels the handler; only the first reason counts.

        Storing an outcome is not interrupted, since it is about to end the attempt itself.
        """
        if self._reason is None and self._task is not None:
            self._reason = reason
            if reason is not StopReason.RELEASE:
                self.reporter.close()
            # A task that is cancelled before its first step never runs at all: it finds the reason when it starts.
            if self.state is AttemptState.RUNNING:
                self._task.cancel()
                if reason is not StopReason.RELEASE:
                    self._services.background.start(self._insist(self._task))

    async def ended(self) -> None:
        """Returns when no part of it is running."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def really_ended(self) -> None:
        """Returns when neither it nor anything that continues after it is running."""
        await self.ended()
        if self._after is not None:
            # It was stopped while it waited for the older attempt.
            await self._after.really_ended()
        await self._left_over_ended()

    async def _left_over_ended(self) -> None:
        if self.left_over:
            await asyncio.wait(self.left_over)

    def with_newest_progress(self, record: RequestRecord) -> RequestRecord:
        """The record with the handler's reports since the last durable write."""
        if self.record.fence != record.fence or record.status is not Status.PROCESSING:
            return record
        latest = self.reporter.latest
        if latest is None:
            return record
        try:
            metadata = encode_json(latest.metadata) if latest.metadata else b""
        except NOT_JSON:
            # The error is logged when the update is sent or stored.
            metadata = b""
        return msgspec.structs.replace(
            record,
            percentage=latest.percentage,
            message=latest.message,
            progress_metadata=metadata,
            updated_at=latest.timestamp,
        )

    async def _insist(self, task: asyncio.Task[None]) -> None:
        """Cancels a handler again that handled its cancellation and continued."""
        if await wait_up_to(STOP_GRACE, self.ended(), self._services.clock):
            return
        self._services.logger.error(
            "a handler does not stop; it is cancelled again", request_id=self.record.id, action=self.record.action
        )
        task.cancel()

    async def _run(self) -> None:
        services = self._services
        self.state = AttemptState.RUNNING
        try:
            if self._reason is not None:
                raise asyncio.CancelledError  # noqa: TRY301 - ends like one that was stopped later
            await self._until_alone()
            route = services.routes.get(self.record.action)
            try:
                if route is None:
                    raise Error(INVALID_ACTION, f"The action {self.record.action!r} is no longer configured")  # noqa: TRY301 - ends like a handler's own error
                result = await self._handle(route)
                # Encoded before it is stored: data that is not JSON is an error of the handler, not of the store.
                stored = stored_result(result, services.max_result_size)
            except Error as error:
                log_notes(error, services.logger, **self._context())
                await self._fail(route, error, error)
            except UNEXPECTED as problem:
                if isinstance(problem, asyncio.CancelledError) or is_being_closed(problem):
                    raise
                answer = boundary_error(problem, services.logger, expose=services.expose_errors, **self._context())
                await self._fail(route, answer, problem)
            else:
                try:
                    await self._complete(stored)
                except Error as error:
                    # The store will never accept this result: the request ends with the store's error.
                    await self._fail(route, error, error)
        except asyncio.CancelledError:
            if self._reason is None or self._reason is StopReason.RELEASE:
                await self._release()
            else:
                await self._lost()
        except LeaseLost:
            await self._lost()
        finally:
            self.reporter.close()
            self._on_ended(self)

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
        may_be_interrupted(lambda: self._reason.value if self._reason is not None else "")
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
        services, record = self._services, self.record
        seq = await self._last_seq()
        progress = services.progress.last_report(self)
        await self._write(lambda: services.queue.complete(self.lease, seq=seq, result=stored, progress=progress))
        self.state = AttemptState.COMPLETED
        at = services.clock.now()
        await services.delivery.terminal(record.key, lambda: complete_message(record.id, seq, stored, at))

    async def _fail(self, route: Route | None, error: Error, problem: BaseException) -> None:
        services, record = self._services, self.record
        if self._reason is not None:
            # The handler was stopped and raised an error instead of being cancelled: that is no outcome of the request.
            raise asyncio.CancelledError from error
        body = fitting(sendable_body(error), services.max_result_size)
        retry = route.retry if route is not None and body.retryable and record.attempts < record.max_attempts else None
        if retry is not None:
            # A request never runs twice at the same time: the claim is kept until its function has ended.
            await self._left_over_ended()
        seq = await self._last_seq()
        cause = services.causes(problem)
        progress = services.progress.last_report(self)
        if retry is not None:
            retry_at = services.clock.now() + retry.delay(record.attempts, services.generator)
            await self._write(
                lambda: services.queue.fail(
                    self.lease, seq=seq, error=body, retry_at=retry_at, cause=cause, progress=progress
                )
            )
            self.retry_at = retry_at
            return
        await self._write(lambda: services.queue.fail(self.lease, seq=seq, error=body, cause=cause, progress=progress))
        await services.delivery.terminal(record.key, lambda: encode_json(ErrorMessage(body, record.id, seq)))

    async def _last_seq(self) -> int:
        """Sends the last report: the handler has ended, and only its outcome follows."""
        self.state = AttemptState.WRITING
        await self._services.progress.pump.flush(self.reporter)
        self.reporter.close()
        # Without a new number: a client that resumes while the outcome is being stored gets the previous state. With
        # the outcome's number, it would ignore the outcome as an old message.
        return self.reporter.seq + 1

    async def _write(self, write: Callable[[], Awaitable[Any]]) -> None:
        await self._services.outcomes.write(self.record.id, write, lambda: self._reason is not None)

    async def _release(self) -> None:
        # Its owner may query it before the next attempt, and must see at least the progress that was sent.
        await self._services.progress.save_last(self)
        if self.left_over and not await wait_up_to(_LEFT_GRACE, self._left_over_ended(), self._services.clock):
            # The next worker must not run it while the function continues here.
            self._services.logger.error(
                "a function does not stop", request_id=self.record.id, action=self.record.action
            )
            self._services.leases.keep_until_close(self.lease)
        else:
            await self._services.leases.release([self.lease])

    async def _lost(self) -> None:
        """Another process ended or claimed the request; if it has ended, its subscribers here get the outcome."""
        if self._reason is StopReason.CANCELLED:
            return
        services = self._services
        services.logger.warning("claim lost", request_id=self.record.id, action=self.record.action)
        try:
            record = await services.queue.get(self.record.key)
        except StoreError:
            return
        if record is not None and record.terminal:
            await services.delivery.terminal(record.key, lambda: terminal_message(record))
