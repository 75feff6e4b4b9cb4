"""Manages the writer process: its unanswered operations, and what happens when it dies."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import msgspec

from streamer.core import errors
from streamer.core.errors import StoreClosed, StoreError, StoreUnavailable, StreamerError, TransitionRefused
from streamer.queue.common import store_behind
from streamer.stores.sqlite.operations import FIRST_READ, NUMBERS
from streamer.stores.sqlite.service_lock import LOCK_WAIT
from streamer.stores.sqlite.unanswered import Operation, Unanswered
from streamer.stores.sqlite.writer import BROKEN, REFUSED, TROUBLE
from streamer.subprocesses import Child

WRITER: Final = "streamer.stores.sqlite.writer:serve"

RESPAWN_DELAYS: Final = (0.0, 0.1, 0.5, 1.0, 2.0)
"""Seconds before each try to replace a dead writer; after as many deaths without an answer in between, the store has
failed.
"""

STALLED: Final = 10.0
"""Seconds without an answer after which new requests are refused instead of waiting for the writer too."""

_ENQUEUE: Final = NUMBERS["enqueue"]
_PROGRESS: Final = NUMBERS["update_progress"]
_GIVING_WAY: Final = frozenset({_ENQUEUE, _PROGRESS})
"""Operations that are refused when too much waits for the writer. All others are small, or limited by the number of
running requests.
"""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode


class WriterProcess:
    """Sends operations to the writer and returns its answers.

    Every operation is kept until it is answered. A writer that dies is replaced, and its unanswered operations are sent
    again, in order; the new writer gets the number up to which its predecessors may have done the work already. An
    operation that crashed the writer repeatedly is refused, so that one caller's operation cannot make the store fail
    for all.

    Args:
        path: the file.
        now: wall-clock seconds.
        max_queued: the limit of waiting records.
        max_queued_per_owner: the limit of one owner; None: no limit of its own.
        max_queued_per_address: the limit of one address, for requests without authentication; None: no limit of its
            own.
        operator: open it next to a running service.
        max_pending: bytes of unanswered operations beyond which no request is accepted.
        warn: called with one line each time the writer was replaced.
        on_trouble: called with the reason, on one line, when writes are refused; called with None when they are
            accepted again.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], float],
        max_queued: int,
        max_queued_per_owner: int | None,
        max_queued_per_address: int | None,
        operator: bool,
        max_pending: int,
        warn: Callable[[str], object] | None = None,
        on_trouble: Callable[[str | None], object] | None = None,
    ) -> None:
        self.failed = asyncio.Event()
        """Set when the writer cannot be replaced."""
        self._path = path
        self._options = {
            "path": str(path),
            "max_queued": max_queued,
            "max_queued_per_owner": max_queued_per_owner,
            "max_queued_per_address": max_queued_per_address,
            "operator": operator,
            "lock_wait": LOCK_WAIT,
            "session": secrets.token_hex(8),
        }
        self._now = now
        self._warn = warn
        self._on_trouble = on_trouble
        self._loop = asyncio.get_running_loop()
        self._number = 0
        self._max_pending = max_pending
        self._unanswered = Unanswered()
        self._flushing = False
        self._heard_at = 0.0
        self._child: Child | None = None
        self._opening: asyncio.Future[Any] | None = None
        self._ready = False
        self._mending: asyncio.Task[None] | None = None
        self._deaths = 0
        self._failure = ""
        """Why no operation can be sent any longer; empty while they can be sent."""
        self._closed = False

    @property
    def pid(self) -> int:
        """Process id of the writer."""
        assert self._child is not None, "the writer has not been started"
        return self._child.pid

    async def open(self) -> None:
        """Starts the first writer, which opens the file and repairs what a previous service left.

        Raises:
            StoreError: the file cannot be opened.
        """
        await self._start(recover=True)

    def ask(
        self, kind: int, now: float, arguments: tuple[Any, ...], read: Callable[[Any], Any] | None = None
    ) -> asyncio.Future[Any]:
        """Sends an operation together with all others of this iteration of the loop. The answer arrives once it is
        durable.

        `read` converts the writer's answer into the future's result or exception.

        Raises:
            Error: OVERLOADED, for a new request while the writer is too far behind.
            StoreUnavailable: the writer is closed, or has failed; or, for progress, the writer is too far behind.
            ValueError: an argument cannot be encoded, such as text with half of a surrogate pair.
        """
        if self._failure:
            raise self._refusal()
        number = self._number + 1
        # Encoded here and not with the others, so that an encoding error reaches only its own caller.
        message = _encode((number, kind, now, arguments))
        unanswered = self._unanswered
        if not unanswered.size:
            self._heard_at = self._loop.time()
        elif kind in _GIVING_WAY:
            self._check_room(kind, len(message))
        self._number = number
        answer = self._loop.create_future()
        unanswered.add(Operation(number, kind, message, answer, read))
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)
        return answer

    def _refusal(self) -> StoreUnavailable:
        return StoreClosed(self._failure) if self._closed else StoreUnavailable(self._failure)

    def _check_room(self, kind: int, size: int) -> None:
        full = self._unanswered.size + size > self._max_pending
        if kind == _PROGRESS:
            if full:
                raise StoreUnavailable(f"the writer process of {self._path} is too far behind")
        elif full or self._loop.time() - self._heard_at > STALLED:
            raise store_behind()

    async def close(self) -> None:
        """Lets the writer finish the operations that it received; the others raise StoreUnavailable."""
        self._closed = True
        self._failure = self._failure or "the store is closed"
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.wait([self._mending])
        if self._child is not None:
            if self._ready:
                self._send(self._unanswered.to_send(everything=True))
            await self._child.close()
        self._ready = False
        self._give_up()

    def _flush(self) -> None:
        self._flushing = False
        if self._ready:
            self._send(self._unanswered.to_send())

    def _send(self, batches: Iterable[list[bytes]]) -> None:
        assert self._child is not None
        for messages in batches:
            self._child.send(_together(messages))

    def _received(self, message: bytes) -> None:
        answers = _decode(message)
        if self._opening is not None:
            self._opened(answers)
            return
        self._deaths = 0
        self._heard_at = self._loop.time()
        for number, outcome, value in answers:
            if outcome == TROUBLE:
                self._troubled(value)
                continue
            operation = self._unanswered.answered(number)
            answer = operation.answer
            if answer.done():
                continue
            if outcome == REFUSED:
                answer.set_exception(TransitionRefused(value))
            elif outcome == BROKEN:
                answer.set_exception(StoreUnavailable(f"{self._path} could not be written: {value}"))
            elif operation.read is None:
                answer.set_result(value)
            else:
                try:
                    answer.set_result(operation.read(value))
                except StreamerError as problem:
                    answer.set_exception(problem)
        if self._unanswered.unsent:
            self._flush()

    def _opened(self, refusal: Any) -> None:
        assert self._opening is not None
        opening, self._opening = self._opening, None
        if refusal is None:
            assert self._child is not None
            self._ready = True
            if self._unanswered.size:
                # Operations that no writer has answered come first: their order matters.
                self._heard_at = self._loop.time()
                self._flush()
            else:
                self._deaths = 0
        if not opening.done():
            opening.set_result(refusal)

    def _troubled(self, trouble: str | None) -> None:
        if self._on_trouble is not None:
            self._on_trouble(trouble)

    async def _start(self, *, recover: bool) -> None:
        opening = self._opening = self._loop.create_future()
        child = self._child = Child(WRITER, on_message=self._received, on_exit=self._died)
        options = {**self._options, "recover": recover, "now": self._now(), "repeats_until": self._number}
        try:
            await child.start()
            child.send(_encode(options))
            refusal = await opening
        except BaseException:
            self._opening = None
            child.kill()
            raise
        if refusal is not None:
            child.kill()
            name, text = refusal
            raise getattr(errors, name)(text)

    def _died(self) -> None:
        self._ready = False
        if (culprit := self._unanswered.writer_died()) is not None:
            self._refuse(culprit)
        if self._opening is not None:
            self._opened(["StoreUnavailable", f"the writer process of {self._path} {self._end()} while opening it"])
        elif self._mending is None:
            self._mending = self._loop.create_task(self._mend())

    def _refuse(self, culprit: Operation) -> None:
        """The operation has crashed several writers, the last of them with nothing else unanswered."""
        if culprit.kind >= FIRST_READ:
            # The cause of the deaths is known, and without it the writer lives.
            self._deaths = 0
        if not culprit.answer.done():
            culprit.answer.set_exception(
                StoreUnavailable(
                    f"the writer process of {self._path} {self._end()} each time it executed this operation"
                )
            )

    def _end(self) -> str:
        status = None if self._child is None else self._child.exit_status
        if status is not None and status < 0:
            return f"was killed by signal {-status}"
        return f"ended with status {status}"

    async def _mend(self) -> None:
        """Replaces the writer, as often as that makes sense."""
        problem = end = self._end()
        while self._deaths < len(RESPAWN_DELAYS):
            self._deaths += 1
            await asyncio.sleep(RESPAWN_DELAYS[self._deaths - 1])
            try:
                # Not `recover`: the claims of this service are still valid, only the writer has died.
                await self._start(recover=False)
            except (StoreError, OSError) as refusal:
                problem = str(refusal)
                continue
            if self._ready:
                self._mending = None
                # A new writer reports problems itself.
                self._troubled(None)
                if self._warn is not None:
                    self._warn(f"the writer process of {self._path} {end}; it was replaced and nothing is lost")
                return
            problem = end = self._end()
        self._failure = f"the writer process of {self._path} died and cannot be replaced: {problem}"
        self._give_up()
        self.failed.set()

    def _give_up(self) -> None:
        for operation in self._unanswered.clear():
            if not operation.answer.done():
                operation.answer.set_exception(self._refusal())


def _together(messages: list[bytes]) -> bytes:
    """One MessagePack array of already encoded values: its header, with a length of four bytes, then the values."""
    return b"".join((b"\xdd", len(messages).to_bytes(4), *messages))
