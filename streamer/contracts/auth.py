"""Authentication: turns a client's token into a principal."""

from __future__ import annotations

from typing import Protocol

from streamer.core.principal import Principal


class Authenticator(Protocol):
    """Turns a token into a principal. The object of a component of kind AUTH; None accepts everybody without a
    principal.

    A subclass inherits the default values of the attributes below.
    """

    leeway: float = 0.0
    """How long a principal stays valid after its `expires_at`, in seconds."""
    immediate: bool = False
    """True: `authenticate` can be stepped without a task, so until its first wait it uses nothing that needs a task
    (such as asyncio.timeout). Checking a token without waiting then costs no task.
    """

    async def authenticate(self, token: str, /) -> Principal:
        """Checks the token's signature, times, issuer, audience and tenant. It must not use the network for each
        connection; it may wait for a signing key that it does not have yet.

        Raises:
            Error: UNAUTHORIZED when the token is invalid, FORBIDDEN when its user is not allowed, OVERLOADED when this
                cannot be decided now. The message says why, and contains no part of the token.
        """
        ...
