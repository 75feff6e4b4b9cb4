"""Claims queued requests, runs them, stores their outcomes and sends them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from streamer.contracts.stores import Claims, Key, RequestQueue
from streamer.core.attempts import Cause
from streamer.core.clock import Clock
from streamer.core.messages import Request
from streamer.core.records import RequestRecord
from streamer.engine.attempt import AttemptServices, RunningAttempt
from streamer.engine.attempt_states import AttemptState, StopReason
from streamer.engine.background import BackgroundTasks
from streamer.engine.causes import cause_of
from streamer.engine.claim_loop import ClaimLoop
from streamer.engine.claim_signal import ClaimSignal
from streamer.engine.delivery import Delivery
from streamer.engine.external_changes import ExternalChanges
from streamer.engine.leases import LeaseKeeper
from streamer.engine.log_throttle import LogThrottle
from streamer.engine.lost_requests import LostRequests
from streamer.engine.outcome_writer import OutcomeWriter
from streamer.engine.outcomes import terminal_message
from streamer.engine.progress_writer import ProgressWriter
from streamer.engine.routes import Route
from streamer.engine.sizes import MAX_RESULT_SIZE
from streamer.engine.slots import Slots, limits_of
from streamer.engine.timeouts import STOP_GRACE, wait_up_to


class Worker:
    """Runs the queued requests of one store.

    Args:
        queue: of the requests.
        routes: by action.
        delivery: sends their messages.
        clock: the service's.
        logger: bound with fields of the whole service.
        name: stored in each claim.
        concurrency: maximum concurrent requests.
        tenant_concurrency: of one tenant; None: no limit.
        lease: seconds that a claim is valid without renewal; it is renewed three times within.
        poll_interval: seconds between polls of the queue when nothing wakes the worker.
        progress_interval: seconds between two progress messages of one request.
        remote: sending is a call over the network, and clients query other processes; see `ProgressWriter`.
        actions: that it runs; all when empty.
        max_result_size: maximum bytes of one result; a larger one is an error instead.
        expose_errors: send the text of unexpected exceptions to clients (development only).
        causes: converts an exception to the cause that operators see with the attempt.
        generator: of the jitter.
    """

    def __init__(
        self,
        queue: RequestQueue,
        routes: Mapping[str, Route],
        delivery: Delivery,
        *,
        clock: Clock,
        logger: Any,
        name: str,
        concurrency: int = 64,
        tenant_concurrency: int | None = None,
        lease: float = 30.0,
        poll_interval: float = 1.0,
        progress_interval: float = 0.1,
        remote: bool = False,
        actions: Collection[str] = (),
        max_result_size: int = MAX_RESULT_SIZE,
        expose_errors: bool = False,
        causes: Callable[[BaseException], Cause] = cause_of,
        generator: random.Random | None = None,
    ) -> None:
        self.name = name
        self.routes = routes
        self.slots = Slots(concurrency, limits_of(routes, actions), tenant_concurrency)
        self.running = self.slots.running
        self._queue = queue
        self._delivery = delivery
        self._clock = clock
        self._logger = logger
        self._remote = remote
        self._lost = LostRequests()
        self._signal = ClaimSignal(clock)
        self._idle = asyncio.Event()
        self._idle.set()
        self._leases = LeaseKeeper(queue, self.running, clock=clock, logger=logger, duration=lease)
        self._progress = ProgressWriter(
            queue,
            delivery,
            clock=clock,
            logger=logger,
            max_result_size=max_result_size,
            interval=progress_interval,
            remote=remote,
        )
        self._services = AttemptServices(
            queue=queue,
            routes=routes,
            delivery=delivery,
            clock=clock,
            logger=logger,
            outcomes=OutcomeWriter(clock, LogThrottle(logger, clock)),
            progress=self._progress,
            leases=self._leases,
            background=BackgroundTasks(),
            max_result_size=max_result_size,
            expose_errors=expose_errors,
            causes=causes,
            generator=generator or random.Random(),  # noqa: S311 - jitter, not a secret
        )
        self._claims = ClaimLoop(
            queue,
            name,
            self.begin,
            ExternalChanges(queue, delivery, self._leases, self.running, logger).found,
            slots=self.slots,
            signal=self._signal,
            leases=self._leases,
            lost=self._lost,
            clock=clock,
            logger=logger,
            poll_interval=poll_interval,
        )

    def wake(self) -> None:
        """There may be something to claim."""
        self._signal.wake()

    def queued(self, request: Request, _route: Route, /) -> None:
        """This request has been stored."""
        if self.slots.free():
            self._signal.announce((request.owner, request.id))
        else:
            # The first attempt that ends makes a slot free for it.
            self._signal.took_all = False

    def expect(self) -> None:
        """Claims before a lone request is stored: a store that keeps the order of calls returns it with that claim."""
        # While others run, a claim that waits returns more at once.
        if not self.running:
            self.wake()

    def pause(self) -> None:
        """Stops claiming; running requests continue, their leases are renewed, and their progress is sent."""
        self._claims.pause()

    async def step(self) -> int:
        """Claims as many requests as fit and starts them. Returns how many were started; they run in tasks.

        Raises:
            StoreError: the store did not respond; nothing was started.
        """
        return await self._claims.step()

    async def begin(self, claims: Claims, limit: float | None = None) -> int:
        """Starts claimed requests, and sends the outcomes of abandoned ones. Returns how many were started.

        Args:
            claims: with this worker's name.
            limit: maximum seconds of a handler, whatever its action says; None: the action's timeout.
        """
        for record in claims.abandoned:
            self.log_abandoned(record)
        for record in claims.records:
            if record.fence > 1:
                self._delivery.runs_again(record.key)
            self._idle.clear()
            if (same := self.running.get(record.key)) is not None:
                # Its lease expired at this worker itself (a blocked loop): the newer claim owns the request.
                same.stop(StopReason.LOST)
            attempt = RunningAttempt(self._services, record, self._ended, limit, after=self.slots.before(record.key))
            self.running[record.key] = attempt
            self._lost.started(record)
            attempt.start()
        if claims.abandoned:
            # After claimed requests have started: a slow connection must not delay them.
            await asyncio.gather(
                *(self._delivery.terminal(one.key, partial(terminal_message, one)) for one in claims.abandoned)
            )
        return len(claims.records)

    def log_abandoned(self, record: RequestRecord) -> None:
        """Logs which request ended without a result."""
        self._logger.error(
            "request ended without a result",
            request_id=record.id, action=record.action, attempts=record.attempts,
            error=None if record.error is None else record.error.message,
        )  # fmt: skip

    async def run(self) -> None:
        """Claims until it is cancelled. Leases are renewed and progress is sent meanwhile, also while it is paused."""
        async with self.attending():
            await self._claims.run()
            await asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def attending(self) -> AsyncIterator[None]:
        """Within this context, leases of running requests are renewed and their progress is sent."""
        async with asyncio.TaskGroup() as group:
            services = [group.create_task(self._progress.pump.run()), group.create_task(self._leases.run())]
            try:
                yield
            finally:
                for task in services:
                    task.cancel()

    async def idle(self) -> None:
        """Returns when nothing runs."""
        await self._idle.wait()

    async def ended(self, key: Key) -> float | None:
        """Waits until the request does not run here. Returns when its attempt made it due again (wall clock)."""
        attempt = self.running.get(key)
        if attempt is None:
            return None
        await attempt.ended()
        return attempt.retry_at

    async def drain(self, timeout: float) -> int:  # noqa: ASYNC109 - a bound on the handlers, not on the caller
        """Waits this long for the running handlers, then returns the remaining requests to the queue.

        Call `pause` first; `run` must still be running, to renew and to report. Returns how many were returned.
        """
        await self._claims.settle()
        await wait_up_to(timeout, self.idle(), self._clock)
        returned = self.stop(StopReason.RELEASE)
        if not await wait_up_to(STOP_GRACE, self.idle(), self._clock):
            # A handler that suppresses its cancellation must not block the service; its lease expires by itself.
            for record in (attempt.record for attempt in self.running.values()):
                self._logger.error("a handler does not stop", request_id=record.id, action=record.action)
        return returned

    def stop(self, reason: StopReason) -> int:
        """Stops all attempts; `idle` returns when they have ended. Returns their number."""
        attempts = list(self.running.values())
        for attempt in attempts:
            attempt.stop(reason)
        return len(attempts)

    async def close(self) -> None:
        """Returns the claims whose functions are still running; they end with the process, which ends now."""
        await self._leases.close()

    async def cancel(self, key: Key, message: str) -> RequestRecord:
        """Ends a queued or running request, with its handler's last report.

        Raises:
            Error: NOT_FOUND.
            TransitionRefused: it has already ended.
            StoreError: it could not be ended.
        """
        attempt = self.running.get(key)
        if attempt is not None:
            await self._progress.save_last(attempt)
        record = await self._queue.cancel(key, message)
        attempt = self.running.get(key)
        if attempt is not None:
            attempt.stop(StopReason.CANCELLED)
        else:
            self._claims.ended(key)
        # Not if the handler has ended: one that cleans up, or does not stop, must not delay its owner's answer.
        await self._delivery.terminal(key, lambda: terminal_message(record))
        return record

    def runs(self, key: Key) -> bool:
        """Whether an attempt of the request runs here."""
        return key in self.running

    def newest_seq(self, key: Key) -> int:
        """The newest number of a message of the request from an attempt here; 0 when none is running here."""
        attempt = self.running.get(key)
        return 0 if attempt is None else attempt.reporter.seq

    def with_newest_progress(self, record: RequestRecord) -> RequestRecord:
        """The record with its handler's reports since the last durable write, if it is running here."""
        attempt = self.running.get(record.key)
        return record if attempt is None else attempt.with_newest_progress(record)

    def _ended(self, attempt: RunningAttempt) -> None:
        was_lost = self._lost.ended(attempt.record)
        if (left_over := self.slots.leave(attempt)) is not None:
            left_over.add_done_callback(lambda _: self.wake())
        if not self.running:
            self._idle.set()
        if (
            attempt.state is AttemptState.COMPLETED
            and self._signal.took_all
            and not (was_lost or self.slots.limited or self._remote)
        ):
            # The last claim found nothing more, and later requests were announced: there is nothing to claim.
            return
        self.wake()
