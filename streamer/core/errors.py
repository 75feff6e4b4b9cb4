"""Everything that this package raises.

The tree::

    StreamerError                 anything that the package raises on purpose
    ├── Error                     an answer to a request: code, message, details, retryable
    ├── ConfigError               the file is wrong; carries every problem found
    ├── PluginError               a plugin is broken, misnamed or not allowed
    ├── StoreError                the store could not do what it was asked
    │   ├── LeaseLost             the claim was taken over, or the request is already terminal
    │   ├── StoreInUse            another process owns the store
    │   ├── StoreTooNew           the file was written by a newer version
    │   └── StoreUnavailable      its disk is full, its process is dead, its table throttles
    │       └── StoreClosed       the store was closed by this process
    ├── TransitionRefused         an event that the record's state does not allow
    ├── ConnectionGone            the connection that a message was for has ended
    ├── NotSent                   the connection takes no message at this time
    └── StartError                the service could not start (port taken, …); one line says why

It imports nothing from the package, so that everything may import it.
"""

from __future__ import annotations

from typing import Any, Final, Self

VALIDATION_ERROR: Final = "VALIDATION_ERROR"
NOT_FOUND: Final = "NOT_FOUND"
UNAUTHORIZED: Final = "UNAUTHORIZED"
INTERNAL_ERROR: Final = "INTERNAL_ERROR"
TIMEOUT: Final = "TIMEOUT"
RATE_LIMITED: Final = "RATE_LIMITED"
INVALID_ACTION: Final = "INVALID_ACTION"
FORBIDDEN: Final = "FORBIDDEN"
CONFLICT: Final = "CONFLICT"
CANCELLED: Final = "CANCELLED"
OVERLOADED: Final = "OVERLOADED"

CODES: Final = frozenset(
    {
        VALIDATION_ERROR,
        NOT_FOUND,
        UNAUTHORIZED,
        INTERNAL_ERROR,
        TIMEOUT,
        RATE_LIMITED,
        INVALID_ACTION,
        FORBIDDEN,
        CONFLICT,
        CANCELLED,
        OVERLOADED,
    }
)
"""The codes that the service itself uses. A handler may use other codes."""

_RETRYABLE: Final = frozenset({TIMEOUT, RATE_LIMITED, OVERLOADED})


class StreamerError(Exception):
    """Base class of everything that this package raises on purpose."""


class Error(StreamerError):
    """The answer to a failed request.

    Args:
        code: one of `CODES`, or a handler's own, in capitals with underscores.
        message: one sentence for the person who reads it.
        details: JSON values for programs; None means an empty object.
        retryable: whether the same request may succeed later. None means the default of the code: true for TIMEOUT,
            RATE_LIMITED and OVERLOADED, false otherwise. It alone decides whether a queued request is attempted again.
    """

    code: str = INTERNAL_ERROR
    """Also that of a subclass which does not call `Error.__init__`."""

    def __init__(
        self,
        code: str,
        message: str,
        details: dict[str, Any] | None = None,
        *,
        retryable: bool | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.details: dict[str, Any] = {} if details is None else details
        self.retryable = code in _RETRYABLE if retryable is None else retryable

    def with_detail(self, key: str, value: Any) -> Self:
        """Adds one detail and returns the same error, so that calls can be chained."""
        self.details[key] = value
        return self

    def __repr__(self) -> str:
        return f"Error({self.code!r}, {self.message!r}, {self.details!r}, retryable={self.retryable})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Error):
            return NotImplemented
        return (self.code, self.message, self.details, self.retryable) == (
            other.code,
            other.message,
            other.details,
            other.retryable,
        )

    __hash__ = StreamerError.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (self.code, self.message, self.details, self.retryable))


def _rebuild(code: str, message: str, details: dict[str, Any], retryable: bool) -> Error:
    return Error(code, message, details, retryable=retryable)


class ConfigError(StreamerError):
    """The configuration is wrong. `problems` has one value per problem, each of which prints as one line."""

    def __init__(self, problems: list[Any]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class PluginError(StreamerError):
    """A plugin is broken, has an invalid name, has no components, or is not allowed to load."""


class StoreError(StreamerError):
    """The store could not complete an operation."""


class LeaseLost(StoreError):
    """The claim of this write is no longer the newest, or the request is already terminal.

    The handler must stop: another worker has claimed the request, or it is no longer needed.
    """


class StoreInUse(StoreError):
    """Another process has this store open."""


class StoreTooNew(StoreError):
    """The store was written by a newer version of this package; upgrade the package or use another file."""


class StoreUnavailable(StoreError):
    """The disk refuses writes, the table throttles, the process behind the store has died, or the store is closed."""


class StoreClosed(StoreUnavailable):
    """The store was closed by this process; trying again cannot help."""


class TransitionRefused(StreamerError):
    """The record's state does not allow the event."""


class ConnectionGone(StreamerError):
    """The receiving connection has ended."""


class NotSent(StreamerError):
    """The connection is open but accepts no message now: its client does not read, or its gateway is busy."""


class StartError(StreamerError):
    """The service could not start; the message is one line that says what to change."""


class PortInUse(StartError):
    """Another program already listens on the service's port."""
