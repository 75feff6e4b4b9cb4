"""Sends the progress of attempts to subscribers, and stores it at intervals."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, Final, Protocol

from streamer.contracts.stores import Lease, RequestQueue
from streamer.core.attempts import LastReport
from streamer.core.clock import Clock
from streamer.core.errors import INTERNAL_ERROR, Error, LeaseLost, StoreError
from streamer.core.foreign_code import describe
from streamer.core.messages import ProgressUpdate
from streamer.core.records import RequestRecord
from streamer.engine.attempt_states import AttemptState, StopReason
from streamer.engine.background import BackgroundTasks
from streamer.engine.codec import NOT_JSON, encode_json
from streamer.engine.delivery import Delivery
from streamer.engine.log_throttle import LogThrottle
from streamer.engine.outcomes import progress_message
from streamer.engine.progress import AttemptReporter, ProgressPump
from streamer.engine.sizes import ENVELOPE, fit_message

SAVE_INTERVAL: Final = 1.0
"""Seconds between two durable writes of one request's progress: enough for a client that queries it after a crash."""


class Reporting(Protocol):
    """The part of an attempt that concerns its progress."""

    record: RequestRecord
    lease: Lease
    reporter: AttemptReporter
    started: float
    state: AttemptState

    def stop(self, reason: StopReason, /) -> None:
        """Stops it before its handler has ended."""
        ...


class ProgressWriter:
    """Sends and stores the reports of handlers.

    Args:
        queue: stores progress.
        delivery: sends it to subscribers.
        clock: the service's.
        logger: for errors.
        max_result_size: maximum bytes of a report's metadata.
        interval: seconds between two progress messages of one request.
        remote: sending is a call over the network, and clients query other processes: progress of one request does not
            wait for another's, and each report that is sent is stored.
    """

    def __init__(
        self,
        queue: RequestQueue,
        delivery: Delivery,
        *,
        clock: Clock,
        logger: Any,
        max_result_size: int,
        interval: float,
        remote: bool,
    ) -> None:
        self.pump = ProgressPump(self._emit, interval=interval, clock=clock, parallel=remote)
        self._queue = queue
        self._delivery = delivery
        self._clock = clock
        self._logger = logger
        self._throttle = LogThrottle(logger, clock)
        self._background = BackgroundTasks()
        self._max_result_size = max_result_size
        self._remote = remote

    def last_report(self, attempt: Reporting) -> LastReport | None:
        """The progress to store with the attempt's outcome; None when its handler reported nothing."""
        latest = attempt.reporter.latest
        if latest is None:
            return None
        return LastReport(latest.percentage, latest.message, self._encoded_metadata(attempt, latest))

    async def save_last(self, attempt: Reporting) -> None:
        """Stores the last report, before an attempt ends by another write than its worker's own."""
        latest = attempt.reporter.latest
        if latest is not None:
            await self._save(attempt, latest, attempt.reporter.seq)

    def _emit(self, reporter: AttemptReporter, update: ProgressUpdate, seq: int) -> Awaitable[None]:
        attempt: Reporting = reporter.claim
        key = attempt.record.key
        if fit_message(update, self._max_result_size):
            self._throttle.error("a progress message was too long and was truncated", request_id=key[1])
        sending = self._delivery.progress(key, lambda: self._message(attempt, update, seq))
        if self._remote:
            return self._saved_after(sending, attempt, update, seq)
        now = self._clock.monotonic()
        if reporter.saved + SAVE_INTERVAL <= now and now - attempt.started >= SAVE_INTERVAL:
            reporter.saved = now
            # In the background: a slow store must not delay the progress of other requests.
            self._background.start(self._save(attempt, update, seq))
        return sending

    def _message(self, attempt: Reporting, update: ProgressUpdate, seq: int) -> bytes:
        request_id = attempt.record.id
        try:
            message = progress_message(request_id, seq, update)
            self._check_size(len(message))
        except Error as problem:
            self._without_metadata(attempt, update, problem.__cause__ or problem)
            return progress_message(request_id, seq, update)
        return message

    async def _saved_after(
        self, sending: Awaitable[None], attempt: Reporting, update: ProgressUpdate, seq: int
    ) -> None:
        """Clients query other processes for the state: a sent report must be stored, unless its outcome replaces it
        now.
        """
        await sending
        if attempt.state is AttemptState.STARTING or attempt.state is AttemptState.RUNNING:
            await self._save(attempt, update, seq)

    async def _save(self, attempt: Reporting, update: ProgressUpdate, seq: int) -> None:
        try:
            await self._queue.update_progress(
                attempt.lease,
                seq=seq,
                percentage=update.percentage,
                message=update.message,
                metadata=self._encoded_metadata(attempt, update),
            )
        except LeaseLost:
            attempt.stop(StopReason.LOST)
        except StoreError as problem:
            self._logger.warning("progress was not stored", request_id=attempt.record.id, error=str(problem))

    def _encoded_metadata(self, attempt: Reporting, update: ProgressUpdate) -> bytes:
        try:
            encoded = encode_json(update.metadata) if update.metadata else b""
            self._check_size(len(encoded))
        except NOT_JSON as problem:
            self._without_metadata(attempt, update, problem)
            return b""
        else:
            return encoded

    def _without_metadata(self, attempt: Reporting, update: ProgressUpdate, problem: BaseException) -> None:
        self._logger.error("progress metadata cannot be sent", request_id=attempt.record.id, error=describe(problem))
        update.metadata = None

    def _check_size(self, size: int) -> None:
        """Raises Error for metadata that no message may contain."""
        if size > self._max_result_size + ENVELOPE:
            raise Error(INTERNAL_ERROR, f"it has {size:,} bytes, over the {self._max_result_size:,} of max_result_size")
