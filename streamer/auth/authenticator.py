"""The authenticator of `auth: {use: jwt}`."""

from __future__ import annotations

from collections.abc import Collection

from streamer.auth.claims import Rules
from streamer.auth.sources import KeySource
from streamer.auth.token import checked_payload, read_header, refused
from streamer.core.clock import Clock
from streamer.core.principal import Principal


class JwtAuthenticator:
    """An `Authenticator` for JSON Web Tokens (RFC 7519), validated as RFC 8725 recommends.

    Args:
        source: of keys.
        rules: for claims.
        algorithms: the allowed signature algorithms.
        max_size: maximum bytes of a token.
        clock: time.

    Attributes:
        leeway: seconds for which an expired token is still valid.
    """

    immediate = True

    def __init__(
        self, source: KeySource, rules: Rules, *, algorithms: Collection[str], max_size: int, clock: Clock
    ) -> None:
        self.leeway = rules.leeway
        self._source = source
        self._rules = rules
        self._algorithms = frozenset(algorithms)
        self._max_size = max_size
        self._clock = clock

    async def authenticate(self, token: str, /) -> Principal:
        """Waits only when the token's key is not known yet."""
        header = read_header(token, self._algorithms, self._max_size)
        keys = self._source.find(header)
        if not keys:
            await self._source.look_again()
            keys = self._source.find(header)
            if not keys:
                raise refused("is signed with an unknown key")
        return self._rules.principal(checked_payload(token, keys), self._clock.now())
