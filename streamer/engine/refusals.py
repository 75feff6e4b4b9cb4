"""The answers to refused requests."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Callable, Iterable
from typing import Final

from streamer.contracts.connections import Peer
from streamer.core.errors import CONFLICT, FORBIDDEN, INVALID_ACTION, OVERLOADED, RATE_LIMITED, VALIDATION_ERROR, Error
from streamer.core.messages import Request
from streamer.core.principal import Principal
from streamer.core.summaries import RequestSummary
from streamer.engine.codec import ACTION_NAME, encode_error

Refuse = Callable[[Peer, str, Error, str | None], None]
"""As `send_refusal`."""

_COMPARED: Final = 20
"""Maximum action names that an unknown one is compared with letter by letter."""


def unknown_action(action: str, known: Iterable[str]) -> Error:
    """INVALID_ACTION with similar names; VALIDATION_ERROR for an invalid action name."""
    if not ACTION_NAME.fullmatch(action):
        message = "must be 1 to 128 of A-Z a-z 0-9 . _ -"
        details = {"errors": [{"path": "/action", "message": message}]}
        return Error(VALIDATION_ERROR, f"Invalid action: {message}", details)
    error = Error(INVALID_ACTION, f"Unknown action: {action}")
    letters = set(action)
    # Comparing takes up to a millisecond per name, and a service may have thousands of actions.
    likely = heapq.nsmallest(_COMPARED, known, lambda name: len(letters ^ set(name)) + abs(len(name) - len(action)))
    near = difflib.get_close_matches(action, likely, n=3)
    return error.with_detail("did_you_mean", near) if near else error


def weight(error: Error) -> int:
    """How many invalid messages one error counts as: one for each violation."""
    details = error.details
    errors = details.get("errors") if isinstance(details, dict) else None
    return max(1, len(errors)) if isinstance(errors, list) else 1


def forbidden(action: str, needed: frozenset[str], principal: Principal | None) -> Error:
    """The client lacks permissions of the action."""
    missing = needed if principal is None else needed - principal.permissions
    return Error(
        FORBIDDEN, f"You may not use {action!r}: permissions are missing", {"missing_permissions": sorted(missing)}
    )


def draining() -> Error:
    """The service accepts no new requests."""
    return Error(OVERLOADED, "The service is shutting down; connect again", {"retry_after_ms": 1000, "reconnect": True})


def too_late() -> Error:
    """The service ends before the request could be answered or stored."""
    return Error(
        OVERLOADED,
        "The service is shutting down and has interrupted the request: send it again",
        {"retry_after_ms": 1000, "reconnect": True},
    )


def not_stored() -> Error:
    """The store did not accept the request."""
    return Error(OVERLOADED, "The request could not be stored; send it again", {"retry_after_ms": 1000})


def store_silent() -> Error:
    """The store did not respond."""
    return Error(OVERLOADED, "The queue does not respond right now; try again", {"retry_after_ms": 1000})


def too_many(limit: int) -> Error:
    """The connection has the maximum number of concurrent requests."""
    return Error(
        RATE_LIMITED,
        f"This connection has {limit} requests in progress; wait for one of them",
        {"retry_after_ms": 100},
    )


def too_many_service_actions(limit: int) -> Error:
    """The owner has the maximum number of concurrent requests for the service's own actions."""
    return Error(
        RATE_LIMITED,
        f"You have {limit} requests for the service's own actions in progress; wait for one of them",
        {"retry_after_ms": 100},
    )


def id_taken(request: Request, existing: RequestSummary) -> Error:
    """The owner has another request with this id."""
    return Error(CONFLICT, f"The id {request.id!r} belongs to another request of yours", {"action": existing.action})


def send_refusal(peer: Peer, _action: str, error: Error, request_id: str | None, /) -> None:
    """Sends the error.

    Args:
        peer: the connection of the message.
        _action: as the client wrote it; empty if the message has none.
        error: the answer.
        request_id: of the message; None if it has none.
    """
    peer.send(encode_error(error, request_id))
