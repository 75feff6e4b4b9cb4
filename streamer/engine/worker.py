"""Claims queued requests, runs them, records how they ended, tells their owners."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from streamer.contracts.stores import Claims, Key, Lease, RequestQueue
from streamer.core.attempts import Cause, LastReport
from streamer.core.clock import Clock
from streamer.core.errors import INTERNAL_ERROR, Error, LeaseLost, StoreError
from streamer.core.foreign import describe
from streamer.core.messages import ProgressUpdate, Request
from streamer.core.records import RequestRecord, Status
from streamer.core.stepping import DONE
from streamer.engine.causes import cause_of
from streamer.engine.claim_signal import ClaimSignal
from streamer.engine.codec import NOT_JSON, encode_json
from streamer.engine.complaints import Complaints
from streamer.engine.job import Job
from streamer.engine.lost_requests import LostRequests
from streamer.engine.outcomes import progress_message, terminal_message
from streamer.engine.progress import JobReporter, ProgressPump
from streamer.engine.routes import Route
from streamer.engine.sizes import ENVELOPE, MAX_RESULT_SIZE, fit_message
from streamer.engine.slots import Slots
from streamer.engine.telling import Teller
from streamer.engine.waiting import STOP_GRACE, ends_within

_STALE = 2 / 3
"""Of a lease: older than that, the last renewal is made up for before anything is claimed."""
SAVE_INTERVAL = 1.0
"""Seconds between two durable writes of one request's progress: enough for whoever asks after a crash."""


class Worker:
    """Runs queued requests of one store.

    Args:
        queue: where they are.
        routes: by action.
        delivery: where their messages go.
        clock: time.
        logger: bound with what concerns the whole service.
        name: written into each claim.
        concurrency: how many run at one time.
        tenant_concurrency: how many of one tenant; None: as many as there are.
        lease: seconds a claim lives without renewal; it is renewed three times within.
        poll_interval: seconds between looks at the queue when nothing wakes the worker.
        progress_interval: seconds between two progress messages of one request.
        remote: connections are calls away, and other processes are asked about them: progress of one request does not
            wait for another's, and is written down whenever it is told.
        actions: that it takes; all when empty.
        expose_errors: send the text of unexpected exceptions to clients (development only).
        causes: makes of an exception what operators find with the attempt that it ended.
        generator: of the jitter.
    """

    def __init__(
        self,
        queue: RequestQueue,
        routes: Mapping[str, Route],
        delivery: Teller,
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
        self.queue = queue
        self.routes = routes
        self.delivery = delivery
        self.clock = clock
        self.logger = logger
        self.complaints = Complaints(logger, clock)
        self.name = name
        self.expose_errors = expose_errors
        self.max_result_size = max_result_size
        self.causes = causes
        self.generator = generator or random.Random()  # noqa: S311 - jitter, not a secret
        self.pump = ProgressPump(self._emit, interval=progress_interval, clock=clock, parallel=remote)
        limits = {route.name: route.concurrency for route in routes.values() if route.concurrency is not None}
        if actions:
            limits |= {name: 0 for name in routes if name not in actions}
        self.slots = Slots(concurrency, limits, tenant_concurrency)
        self.running = self.slots.running
        self._held: list[Lease] = []
        self._lease = lease
        self._remote = remote
        self._poll_interval = poll_interval
        self._lost = LostRequests()
        self._signal = ClaimSignal(clock)
        self._idle = asyncio.Event()
        self._idle.set()
        self._next_due: float | None = None
        self._more = False
        self._paused = False
        self._claiming = asyncio.Lock()
        self._ended: set[Key] = set()
        """Ended by their owners while a claim was under way: it may bring them, and then they must not begin."""
        self._looking: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._claimed_at = -math.inf
        self._renewed_at = clock.now()

    def wake(self, request: Request | None = None, /) -> None:
        """Says that there may be something to claim: this request, or anything at all."""
        if request is None:
            self._signal.wake()
        elif self.slots.free():
            self._signal.announce((request.owner, request.id))
        else:
            # The first attempt that ends makes room for it.
            self._signal.took_all = False

    def expect(self) -> None:
        """Says that a request is about to be stored: a store that keeps the order of the calls brings it with the claim
        that is sent now, in one commit. Only for a lone one; while others run, a claim that waits brings more at once.
        """
        if not self.running:
            self.wake()

    def pause(self) -> None:
        """Claims nothing from now on; what runs goes on, its leases are renewed, its progress is sent."""
        self._paused = True
        self.wake()

    async def step(self) -> int:
        """Claims what fits and starts it. Returns how many were started; they run on in tasks.

        Raises:
            StoreError: the store did not answer; nothing was started.
        """
        async with self._claiming:
            self._ended.clear()
            return await self._step()

    async def _step(self) -> int:
        capacity = self.slots.free()
        now = self.clock.monotonic()
        if self._paused or (capacity <= 0 and now - self._claimed_at < self._poll_interval):
            self._more = self._signal.took_all = False
            return 0
        # A full worker still looks now and then, for nothing but what others have done to the queue.
        self._claimed_at = now
        if self.clock.now() - self._renewed_at >= self._lease * _STALE:
            # The loop stood still, or the clock was put forward: what runs here must not look like a dead worker's.
            await self._renew_once()
        self._signal.sent()
        claims = await self.queue.claim(
            self.name,
            capacity,
            self._lease,
            headroom=self.slots.headroom(),
            **self.slots.tenant_limits(),
            **self._lost.limits(),
        )
        self._next_due = claims.next_due
        self._more = len(claims.records) == capacity > 0
        self._signal.took_all = len(claims.records) < capacity
        if claims.foreign and (self._looking is None or self._looking.done()):
            self._looking = asyncio.create_task(self._look_after_followed(claims.foreign_keys))
        begun = await self.begin(claims)
        self._lost.claimed()
        return begun

    async def begin(self, claims: Claims, limit: float | None = None) -> int:
        """Starts what was claimed, and tells of what was abandoned. Returns how many were started.

        Args:
            claims: of this worker's name.
            limit: seconds that a handler may take at most, whatever its action says; None: what its action says.
        """
        for record in claims.abandoned:
            self.log_abandoned(record)
        begun = 0
        for record in claims.records:
            self._signal.brought(record.key)
            if record.key in self._ended:
                continue
            begun += 1
            if record.fence > 1:
                self.delivery.runs_again(record.key)
            self._idle.clear()
            if (same := self.running.get(record.key)) is not None:
                # Its lease ran out under this very worker (a stalled loop): the newer claim owns the request.
                same.stop("lost")
            job = Job(self, record, limit, after=self.slots.before(record.key))
            self.running[record.key] = job
            self._lost.begun(record)
            job.start()
        if claims.abandoned:
            # After what was claimed has begun: a connection that takes nothing must not hold it up.
            await asyncio.gather(
                *(self.delivery.terminal(record.key, terminal_message(record)) for record in claims.abandoned)
            )
        return begun

    def log_abandoned(self, record: RequestRecord) -> None:
        """The log says which request ended without a result."""
        self.logger.error(
            "request ended without a result",
            request_id=record.id, action=record.action, attempts=record.attempts,
            error=None if record.error is None else record.error.message,
        )  # fmt: skip

    async def run(self) -> None:
        """Steps until it is cancelled, renewing leases and sending progress meanwhile, also while it is paused."""
        async with self.attending():
            await self._claim()
            await asyncio.get_running_loop().create_future()

    @asynccontextmanager
    async def attending(self) -> AsyncIterator[None]:
        """While it lasts, leases of what runs are renewed and its progress is sent."""
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self.pump.run()), group.create_task(self._renew())]
            try:
                yield
            finally:
                for task in beside:
                    task.cancel()

    async def idle(self) -> None:
        """Returns when nothing runs."""
        await self._idle.wait()

    async def drain(self, timeout: float) -> int:  # noqa: ASYNC109 - a bound on the handlers, not on the caller
        """Waits so long for the running handlers, then gives what still runs back to the queue.

        Call `pause` first; `run` must still be running, to renew and to report. Returns how many were given back.
        """
        async with self._claiming:
            # A claim that was under way has been taken in by now; no other follows.
            pass
        await ends_within(timeout, self.idle(), self.clock)
        jobs = list(self.running.values())
        for job in jobs:
            job.stop("release")
        if not await ends_within(STOP_GRACE, self.idle(), self.clock):
            # A handler that swallows its cancellation must not hold the service up; its lease runs out by itself.
            for job in self.running.values():
                self.logger.error("a handler does not stop", request_id=job.record.id, action=job.record.action)
        return len(jobs)

    def finished(self, job: Job) -> None:
        """The job has left nothing to do. Called by the job."""
        was_lost = self._lost.ended(job.record)
        if (left := self.slots.leave(job)) is not None:
            left.add_done_callback(lambda _: self.wake())
        if not self.running:
            self._idle.set()
        if job.completed and self._signal.took_all and not (was_lost or self.slots.limited or self._remote):
            # The last claim found nothing more, and what came since was announced: there is nothing to claim.
            return
        self.wake()

    async def release(self, leases: list[Lease]) -> None:
        """Gives claims back to the queue."""
        try:
            await self.queue.release(leases)
        except StoreError as problem:
            # They run out by themselves; another worker takes them then.
            names = [lease.id for lease in leases]
            self.logger.warning("claims were not given back", request_ids=names, error=str(problem))

    def release_at_end(self, job: Job) -> None:
        """Keeps a claim whose function goes on until `close`. Called by the job."""
        self.logger.error("a function does not stop", request_id=job.record.id, action=job.record.action)
        self._held.append(job.lease)

    async def close(self) -> None:
        """Gives back the claims whose functions still run; those end with the process, which follows now."""
        held, self._held = self._held, []
        if held:
            await self.release(held)

    def insist(self, job: Job) -> None:
        """The job was stopped for good: its handler has a grace to tidy up. Called by the job."""
        self._beside(self._insist(job))

    async def _insist(self, job: Job) -> None:
        if await ends_within(STOP_GRACE, job.ended(), self.clock):
            return
        self.logger.error(
            "a handler does not stop; it is cancelled again", request_id=job.record.id, action=job.record.action
        )
        job.cancel_again()

    def _beside(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _claim(self) -> None:
        failure = ""
        try:
            while not self._paused:
                if self._more or self._signal.wanted:
                    failure = await self._claim_once(failure)
                if not self._more:
                    await self._signal.wait(self._longest_wait())
        finally:
            self._signal.close()

    async def _claim_once(self, failure: str) -> str:
        """Returns why the queue could not be read; empty when it could."""
        try:
            await self.step()
        except StoreError as problem:
            if str(problem) != failure:
                # Once, however long it lasts: the store reports its own state.
                self.logger.error("the queue cannot be read; trying again", error=str(problem))
            self._more = False
            self._next_due = None
            return str(problem)
        return ""

    def _longest_wait(self) -> float:
        """Seconds until the next record falls due, at most the poll interval."""
        if self._next_due is None or not self.slots.free():
            return self._poll_interval
        return min(self._poll_interval, max(self._next_due - self.clock.now(), 0.001))

    async def _renew(self) -> None:
        """Three renewals a lease: two may fail before it runs out."""
        while True:
            await self.clock.sleep(self._lease / 3)
            await self._renew_once()

    async def _renew_once(self) -> None:
        leases = [job.lease for job in self.running.values()]
        now = self.clock.now()
        if not leases:
            self._renewed_at = now
            return
        try:
            lost = await self.queue.renew(leases, self._lease)
        except StoreError as problem:
            self.logger.error("leases could not be renewed; trying again", error=str(problem))
            return
        self._renewed_at = now
        for lease in lost:
            job = self.running.get((lease.owner, lease.id))
            if job is not None and job.lease == lease:
                job.stop("lost")

    async def cancel(self, key: Key, message: str) -> RequestRecord:
        """Ends a request, queued or running, with what its handler reported last.

        Raises:
            Error: NOT_FOUND.
            TransitionRefused: it has already ended.
            StoreError: it could not be ended.
        """
        job = self.running.get(key)
        if job is not None:
            await self.save_last(job)
        record = await self.queue.cancel(key, message)
        await self.ended_by_owner(record)
        return record

    async def ended_by_owner(self, record: RequestRecord) -> None:
        """The request was ended in the store: its handler is stopped, and those who follow are told."""
        job = self.running.get(record.key)
        if job is not None:
            job.stop("cancelled")
        elif self._claiming.locked():
            self._ended.add(record.key)
        # Not when the handler has ended: one that tidies up, or does not stop, must not keep its owner waiting.
        await self.delivery.terminal(record.key, terminal_message(record))

    async def _look_after_followed(self, changed: Sequence[Key] | None) -> None:
        """Somebody else has written to the queue: running claims may be lost, and followed requests may have ended."""
        await self._renew_once()
        followed = self.delivery.followed_keys() if changed is None else filter(self.delivery.followed, changed)
        for key in followed:
            if key in self.running:
                continue
            try:
                record = await self.queue.get(key)
            except StoreError as problem:
                self.logger.error("a followed request could not be read", request_id=key[1], error=str(problem))
                return
            if record is not None and record.terminal:
                await self.delivery.terminal(key, terminal_message(record))

    def _emit(self, reporter: JobReporter, update: ProgressUpdate, seq: int) -> Awaitable[None]:
        job: Job = reporter.claim
        key = job.record.key
        sending = DONE
        if fit_message(update, self.max_result_size):
            self.complaints.tell("a progress message was too long and is cut", request_id=key[1])
        if self.delivery.followed(key):
            try:
                message = progress_message(key[1], seq, update)
                self._check_size(len(message))
            except Error as problem:
                self._without_metadata(job, update, problem.__cause__ or problem)
                message = progress_message(key[1], seq, update)
            sending = self.delivery.progress(key, message)
        if self._remote:
            return self._saved_after(sending, job, update, seq)
        now = self.clock.monotonic()
        if reporter.saved + SAVE_INTERVAL <= now and now - job.started >= SAVE_INTERVAL:
            reporter.saved = now
            # Beside the sending: a store that is slow must not hold up what other requests have to tell.
            self._beside(self._save(job, update, seq))
        return sending

    async def _saved_after(self, sending: Awaitable[None], job: Job, update: ProgressUpdate, seq: int) -> None:
        """Others are asked how it is: what was sent must be there. But not what its outcome is about to replace."""
        await sending
        if not job.writing:
            await self._save(job, update, seq)

    def last_report(self, job: Job) -> LastReport | None:
        """What is stored with the job's outcome; None when its handler reported nothing."""
        latest = job.reporter.latest
        if latest is None:
            return None
        return LastReport(latest.percentage, latest.message, self._encoded_metadata(job, latest))

    async def save_last(self, job: Job) -> None:
        """Before an attempt ends by another write than its worker's own: stores what was reported last."""
        latest = job.reporter.latest
        if latest is not None:
            await self._save(job, latest, job.reporter.seq)

    def _encoded_metadata(self, job: Job, update: ProgressUpdate) -> bytes:
        try:
            encoded = encode_json(update.metadata) if update.metadata else b""
            self._check_size(len(encoded))
        except NOT_JSON as problem:
            self._without_metadata(job, update, problem)
            return b""
        else:
            return encoded

    def _without_metadata(self, job: Job, update: ProgressUpdate, problem: BaseException) -> None:
        self.logger.error("progress metadata cannot be sent", request_id=job.record.id, error=describe(problem))
        update.metadata = None

    def _check_size(self, size: int) -> None:
        """Raises Error for what no message may hold."""
        if size > self.max_result_size + ENVELOPE:
            raise Error(INTERNAL_ERROR, f"it has {size:,} bytes, over the {self.max_result_size:,} of max_result_size")

    async def _save(self, job: Job, update: ProgressUpdate, seq: int) -> None:
        try:
            await self.queue.update_progress(
                job.lease,
                seq=seq,
                percentage=update.percentage,
                message=update.message,
                metadata=self._encoded_metadata(job, update),
            )
        except LeaseLost:
            job.stop("lost")
        except StoreError as problem:
            self.logger.warning("progress was not saved", request_id=job.record.id, error=str(problem))


def current(record: RequestRecord, job: Job | None) -> RequestRecord:
    """The record with what its running job has reported since the last durable write."""
    if job is None or job.record.fence != record.fence or record.status is not Status.PROCESSING:
        return record
    latest = job.reporter.latest
    if latest is None:
        return record
    return msgspec.structs.replace(
        record,
        percentage=latest.percentage,
        message=latest.message,
        progress_metadata=_metadata(latest),
        updated_at=latest.timestamp,
    )


def _metadata(update: ProgressUpdate) -> bytes:
    """Nothing where it is not JSON, which is logged when the update is sent or stored."""
    try:
        return encode_json(update.metadata) if update.metadata else b""
    except NOT_JSON:
        return b""
