"""Sources of keys: the configuration, a set in a file that may change, or a set at a URL."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path
from typing import Any, Final, Protocol

from streamer.auth.keys import Key, from_jwks
from streamer.auth.token import Header
from streamer.core.clock import Clock
from streamer.core.errors import OVERLOADED, Error
from streamer.core.foreign_code import is_our_own, safe_text

FIRST_RETRY: Final = 1.0
"""Seconds after a first fetch that failed; doubled each time, up to the usual interval."""
LOOK_INTERVAL: Final = 1.0
"""Seconds between two checks whether a file has changed."""


class KeySource(Protocol):
    """Finds keys, and fetches more if possible."""

    def find(self, header: Header) -> list[Key]:
        """The keys that may have signed a token with this header. It never waits."""
        ...

    async def look_again(self) -> None:
        """Fetches newer keys, unless it has just done so; for a token whose key is unknown.

        Raises:
            Error: OVERLOADED when there are no keys at all yet.
        """
        ...


class KeySet:
    """Keys by their id and algorithm."""

    def __init__(self, keys: Iterable[Key], algorithms: Collection[str]) -> None:
        self._all: dict[str, list[Key]] = {}
        self._named: dict[tuple[str, str | None], list[Key]] = {}
        for key in keys:
            if key.algorithm in algorithms:
                self._all.setdefault(key.algorithm, []).append(key)
                self._named.setdefault((key.algorithm, key.kid), []).append(key)

    def __len__(self) -> int:
        return sum(map(len, self._all.values()))

    def find(self, header: Header) -> list[Key]:
        """All keys with that id; without an id, all with that algorithm."""
        if header.kid is None:
            return self._all.get(header.algorithm, [])
        return self._named.get((header.algorithm, header.kid), [])


class OneKey:
    """A `KeySource` with a secret or a public key from the configuration. The key id of a token is ignored."""

    def __init__(self, key: Key) -> None:
        self._key = key

    def find(self, header: Header) -> list[Key]:
        return [self._key] if header.algorithm == self._key.algorithm else []

    async def look_again(self) -> None:
        """There are no others."""


class FileKeys:
    """A `KeySource` with a JWKS in a file, read again when it changes; if that fails, the last valid set is kept.

    Raises:
        OSError: the file cannot be read.
        KeyProblem: it contains no usable keys.
    """

    def __init__(self, path: Path, algorithms: Collection[str], *, clock: Clock, logger: Any) -> None:
        self._path = path
        self._algorithms = algorithms
        self._clock = clock
        self._logger = logger
        self._seen = self._state()
        self._keys = KeySet(from_jwks(path.read_bytes()), algorithms)
        self._looked = clock.monotonic()

    def find(self, header: Header) -> list[Key]:
        now = self._clock.monotonic()
        if now - self._looked >= LOOK_INTERVAL:
            self._looked = now
            self._look()
        return self._keys.find(header)

    async def look_again(self) -> None:
        """`find` has already checked the file."""

    def _look(self) -> None:
        state = self._state()
        if state == self._seen:
            return
        self._seen = state
        try:
            self._keys = KeySet(from_jwks(self._path.read_bytes()), self._algorithms)
        except (OSError, ValueError) as problem:
            self._logger.error(
                "cannot use the file of keys; keeping the current keys",
                file=str(self._path),
                error=str(problem),
                keys=len(self._keys),
            )
        else:
            self._logger.info("keys read again", file=str(self._path), keys=len(self._keys))

    def _state(self) -> tuple[int, int, int] | None:
        try:
            stat = os.stat(self._path)  # noqa: PTH116 - the same in half the time, and it is done while others wait
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


class FetchedKeys:
    """A `KeySource` with a JWKS from a URL, fetched in the background; if that fails, the last valid set is kept.

    All connections with an unknown key wait for one fetch together, and the next such fetch happens only after
    `cooldown`.

    Args:
        fetch: returns the set; its exceptions are logged, and it is called again.
        algorithms: the allowed ones.
        refresh: seconds between two fetches.
        cooldown: minimum seconds between the end of a fetch and one for an unknown key.
        clock: time.
        logger: for failures.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[bytes]],
        algorithms: Collection[str],
        *,
        refresh: float,
        cooldown: float,
        clock: Clock,
        logger: Any,
    ) -> None:
        self._fetch = fetch
        self._algorithms = algorithms
        self._refresh = refresh
        self._cooldown = cooldown
        self._clock = clock
        self._logger = logger
        self._keys: KeySet | None = None
        self._fetched = 0.0
        self._under_way: asyncio.Task[bool] | None = None

    def find(self, header: Header) -> list[Key]:
        return [] if self._keys is None else self._keys.find(header)

    async def look_again(self) -> None:
        under_way = self._under_way
        if under_way is not None or self._clock.monotonic() - self._fetched >= self._cooldown:
            await asyncio.shield(under_way or self._begin())
        if self._keys is None:
            raise Error(OVERLOADED, "Tokens cannot be verified right now; try again", {"retry_after_ms": 1000})

    async def run(self) -> None:
        """Fetches now, and then on schedule; sooner after a failure. Ends only when cancelled."""
        retry = FIRST_RETRY
        try:
            while True:
                fetched = await asyncio.shield(self._under_way or self._begin())
                wait, retry = (self._refresh, FIRST_RETRY) if fetched else (retry, retry * 2)
                await self._clock.sleep(min(wait, self._refresh))
        finally:
            if self._under_way is not None:
                self._under_way.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await self._under_way

    def _begin(self) -> asyncio.Task[bool]:
        self._under_way = asyncio.create_task(self._update(), name="keys")
        return self._under_way

    async def _update(self) -> bool:
        try:
            keys = KeySet(from_jwks(await self._fetch()), self._algorithms)
        except BaseException as problem:  # After any exception, the next fetch must take place.
            if is_our_own(problem):
                raise
            known = 0 if self._keys is None else len(self._keys)
            outcome = "keeping the current keys" if known else "no client can connect"
            self._logger.error("keys could not be fetched", outcome=outcome, error=safe_text(problem), keys=known)
            return False
        else:
            self._keys = keys
            return True
        finally:
            self._under_way = None
            self._fetched = self._clock.monotonic()
