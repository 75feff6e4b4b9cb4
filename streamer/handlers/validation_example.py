"""An example of validation in Python, for checks that JSON Schema cannot express."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from streamer.contracts.handlers import BaseHandler
from streamer.core.errors import VALIDATION_ERROR, Error
from streamer.core.messages import Request, Result

_SHORTEST_EMAIL: Final = 3
_LONGEST_EMAIL: Final = 100


class ValidationExampleHandler(BaseHandler):
    """Greets a person with `name` and `email`: `{"message": "Hello, NAME!", "email": …}`. Its estimate is 50 ms."""

    def __init__(self) -> None:
        super().__init__(estimated_duration=0.05, validator=_validate)

    async def process(self, request: Request, /) -> Result:
        """Greets."""
        payload = request.payload
        return Result(data={"message": f"Hello, {payload['name']}!", "email": payload["email"]})


def _validate(request: Request) -> None:
    errors = [{"path": path, "message": message} for path, message in _violations(request.payload)]
    if errors:
        raise Error(VALIDATION_ERROR, "The payload is not valid", {"errors": errors})


def _violations(payload: Any) -> Iterator[tuple[str, str]]:
    """JSON Pointer and text of each violation."""
    if not isinstance(payload, dict):
        yield "", "an object with name and email is required"
        return
    name, email = payload.get("name"), payload.get("email")
    if "name" not in payload:
        yield "/name", "is required"
    elif not isinstance(name, str) or not name.strip():
        yield "/name", "must be a string that is not empty"
    if "email" not in payload:
        yield "/email", "is required"
    elif not isinstance(email, str):
        yield "/email", "must be a string"
    else:
        if not _SHORTEST_EMAIL <= len(email) <= _LONGEST_EMAIL:
            yield "/email", f"must have {_SHORTEST_EMAIL} to {_LONGEST_EMAIL} characters"
        if "@" not in email[1:-1]:
            yield "/email", "must have an @ between two parts"
