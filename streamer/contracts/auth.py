"""Who may connect, and as whom."""

from __future__ import annotations

from typing import Protocol

from streamer.core.principal import Principal


class Authenticator(Protocol):
    """Turns a token into a principal. What a component of the kind AUTH builds; None lets everybody in as nobody.

    A class that inherits from it has the values of its attributes below, unless it sets others.
    """

    leeway: float = 0.0
    """Seconds for which a principal still counts after its `expires_at`."""
    immediate: bool = False
    """True: `authenticate` may be stepped without a task, so until it first waits it uses nothing that needs one
    (asyncio.timeout does); a token that is checked without waiting then costs no task."""

    async def authenticate(self, token: str, /) -> Principal:
        """Checks the token's signature, times, issuer, audience and tenant. It must not ask the network for each
        connection; it may wait for a key that it does not know yet.

        Raises:
            Error: UNAUTHORIZED when the token proves nothing, FORBIDDEN when it proves somebody who is not let in,
                OVERLOADED when that cannot be told right now. The message says why, without any part of the token.
        """
        ...
