"""`streamer.authenticate`: renews a connection's authentication before its token expires."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from streamer.contracts.auth import Authenticator
from streamer.contracts.handlers import BaseHandler
from streamer.core.clock import timestamp
from streamer.core.coroutines import EnterTask
from streamer.core.errors import FORBIDDEN, Error
from streamer.core.messages import Request, Result
from streamer.core.principal import Principal
from streamer.engine.pipeline import AnyMiddleware, compose, is_immediate
from streamer.engine.routes import Mode, Route
from streamer.engine.validation import Validator

NAME: Final = "streamer.authenticate"
_SCHEMA: Final = {
    "type": "object",
    "required": ["token"],
    "additionalProperties": False,
    "properties": {"token": {"type": "string", "minLength": 1, "description": "A new token of the same user"}},
}


Renew = Callable[[str, Principal], Awaitable[None] | None]


class Authenticate(BaseHandler):
    """Accepts a new token of the same user and tenant; with any other token, the connection does not change.

    Args:
        authenticator: of the service.
        renew: sets the new principal of the connection with that id. Its result is awaited before the client is
            answered, unless it is None.
    """

    def __init__(self, authenticator: Authenticator, renew: Renew) -> None:
        super().__init__()
        self._authenticator = authenticator
        self._renew = renew

    async def process(self, request: Request, /) -> Result:
        principal = await self._authenticator.authenticate(request.payload["token"])
        before = request.principal
        if before is None or principal.owner != before.owner:
            raise Error(FORBIDDEN, "The token belongs to another user or tenant than the connection")
        written = self._renew(request.connection_id, principal)
        if written is not None:
            # Database clients store objects in the context of their task, so everything must run in one task.
            await EnterTask()
            await written
        expires_at = principal.expires_at
        return Result(
            data={
                "user_id": principal.user_id,
                "tenant_id": principal.tenant_id,
                "expires_at": None if expires_at is None else timestamp(expires_at),
            }
        )


def renewal_route(handler: Authenticate, authenticator: Any, around: Sequence[AnyMiddleware] = ()) -> Route:
    """The action's route.

    Args:
        handler: of the action.
        authenticator: if it is `immediate`, the client's next message already belongs to the new principal.
        around: middleware of the service's own actions.
    """
    return Route(
        name=NAME,
        handler=handler,
        pipeline=compose(handler, around),
        validator=Validator(_SCHEMA),
        immediate=is_immediate(authenticator.immediate, around),
        mode=Mode.SYNC,
        description="Keeps this connection open with a new token",
        schema=_SCHEMA,
    )
