"""Decodes and encodes messages. Pure functions."""

from __future__ import annotations

import re
import sys
from itertools import accumulate
from typing import Any, Final

import msgspec

from streamer.core.errors import INTERNAL_ERROR, VALIDATION_ERROR, Error
from streamer.core.foreign_code import describe, safe_text
from streamer.core.ids import MAX_ID_LENGTH
from streamer.core.messages import ErrorBody, ErrorMessage, Outgoing
from streamer.core.units import parse_duration

ACTION_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
DEFAULT_MAX_DEPTH: Final = 64
_LONGEST_WAIT: Final = 100
"""Maximum characters of a duration, because errors repeat it."""


class Envelope(msgspec.Struct):
    """A client's message, field by field."""

    action: str
    id: str | None = None
    payload: Any = None
    metadata: dict[str, str] | None = None
    type: str = "request"
    wait: str | float | None = None


class _StrictEnvelope(Envelope, forbid_unknown_fields=True):
    """The same, but refuses unknown fields."""


class _OnlyId(msgspec.Struct):
    id: Any = None


class MalformedError(Exception):
    """A message that cannot be decoded, with the answer, and the request id if it could be read."""

    def __init__(self, error: Error, request_id: str | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.request_id = request_id


class Codec:
    """Decodes messages within the limits of one service.

    Args:
        max_depth: maximum nesting of arrays and objects, including the message's own object.
        strict: refuse unknown top-level fields.
    """

    def __init__(self, *, max_depth: int = DEFAULT_MAX_DEPTH, strict: bool = False) -> None:
        self._max_depth = max_depth
        self._decode = msgspec.json.Decoder(_StrictEnvelope if strict else Envelope).decode

    def decode(self, frame: bytes) -> Envelope:
        """The message.

        Raises:
            MalformedError: it is invalid; the exception contains the answer.
        """
        try:
            envelope = self._decode(frame)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
            raise self._explain(frame, problem) from None
        # With fewer brackets than allowed levels it cannot be too deep: two scans avoid the others.
        most = self._max_depth
        if frame.count(b"[") + frame.count(b"{") > most and _depth(frame) > most:
            raise MalformedError(self._too_deep(), _readable_id(envelope.id))
        request_id = envelope.id
        if request_id is not None and not (0 < len(request_id) <= MAX_ID_LENGTH and request_id.isprintable()):
            raise MalformedError(_invalid("/id", "must be 1 to 128 printable characters"))
        if envelope.type != "request":
            raise MalformedError(_invalid("/type", "must be 'request' if it is present"), request_id)
        return envelope

    def _explain(self, frame: bytes, problem: Exception) -> MalformedError:
        """The most specific error for a frame that could not be decoded. Slow, and only for invalid frames."""
        request_id = _find_id(frame)
        if isinstance(problem, RecursionError):
            return MalformedError(self._too_deep(), request_id)
        if isinstance(problem, UnicodeDecodeError):
            return MalformedError(
                Error(
                    VALIDATION_ERROR, "The message is not valid UTF-8: it contains an invalid byte, or a lone surrogate"
                ),
                request_id,
            )
        if isinstance(problem, msgspec.ValidationError):
            return MalformedError(_shape_error(str(problem)), request_id)
        if not frame.strip():
            return MalformedError(Error(VALIDATION_ERROR, "The message is empty; it must be a JSON object"))
        return MalformedError(
            Error(VALIDATION_ERROR, f"The message is not valid JSON: {_json_problem(frame, problem)}"), request_id
        )

    def _too_deep(self) -> Error:
        return Error(VALIDATION_ERROR, f"The message has more than {self._max_depth} levels of arrays and objects")


_STEPS: Final = bytes.maketrans(b"{[}]", b"\x01\x01\xff\xff")
"""As signed bytes: +1 for each opening bracket, -1 for each closing one."""
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_SCANNED: Final = 4096
"""Bytes of an invalid frame that are searched for its id: enough for normal frames, and cheap for others."""
_TOKEN: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"(?:\s*+:)?|[{}\[\],"]', re.DOTALL)
_LONE_SURROGATE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..)\\u[dD][c-fC-F]"
)
_AT: Final = re.compile(r" - at `\$?(.*)`$")


def _json_problem(frame: bytes, problem: Exception) -> str:
    # The decoder reports half a pair near the end of the text as truncated.
    return "it contains a lone surrogate escape" if _LONE_SURROGATE.search(frame) is not None else str(problem)


def _shape_error(text: str) -> Error:
    """An error in the envelope, with the place as a JSON Pointer."""
    match = _AT.search(text)
    place = ""
    if match is not None:
        text = text[: match.start()]
        place = "".join(f"/{part}" for part in re.findall(r"[A-Za-z_]+", match[1]))
    if text.startswith("Object missing required field"):
        return _invalid("/action", "is required", "The message has no action")
    if not place and text.startswith("Expected `object`"):
        return Error(VALIDATION_ERROR, "The message must be a JSON object")
    return _invalid(place, text)


def _invalid(pointer: str, text: str, message: str = "") -> Error:
    where = pointer.lstrip("/") or "the message"
    return Error(
        VALIDATION_ERROR,
        message or f"Invalid message: {where}: {text}",
        {"errors": [{"path": pointer, "message": text}]},
    )


def _readable_id(value: object) -> str | None:
    return value if isinstance(value, str) and 0 < len(value) <= MAX_ID_LENGTH and value.isprintable() else None


def _find_id(frame: bytes) -> str | None:
    """The request id of a frame with other invalid fields, if it can be read."""
    try:
        return _readable_id(msgspec.json.decode(frame, type=_OnlyId).id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    return _readable_id(_scan_for_id(frame[:_SCANNED]))


def _scan_for_id(text: bytes) -> object:
    """The `id` of the outermost object in text that is not valid JSON: truncated, too deep, or invalid further on."""
    if not text.lstrip().startswith(b"{"):
        return None
    found: object = None
    depth = 0
    name = b""
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in b"{[":
            depth += 1
        elif token in b"}]":
            depth -= 1
        elif token == b'"':
            break
        elif depth == 1:
            is_name = token.endswith(b":")
            if name.startswith(b'"id"') and not is_name:
                found = _string(token)
            name = token if is_name else b""
    return found


def _string(token: bytes) -> str | None:
    try:
        return msgspec.json.decode(token, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _depth(frame: bytes) -> int:
    """Levels of arrays and objects in JSON text.

    Walking the decoded values would block the loop for tens of milliseconds: a message can contain 40,000 of them. So
    the brackets of the text are counted in C, ignoring its strings: an opening bracket adds one level, and a closing
    one removes it.
    """
    if b'"' in frame:
        # In JSON, a quote within a string has a backslash before it, and a pair of backslashes is a single one.
        frame = b"".join(frame.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    steps = frame.translate(_STEPS, delete=_NO_BRACKETS)
    return max(accumulate(memoryview(steps).cast("b")), default=0)


def parse_wait(wait: str | float | None) -> float | None:
    """Seconds of a client's `wait`.

    Raises:
        Error: VALIDATION_ERROR for a negative number or an invalid duration.
    """
    if wait is None:
        return None
    if isinstance(wait, str):
        if len(wait) > _LONGEST_WAIT:
            raise _invalid("/wait", f"has more than {_LONGEST_WAIT} characters")
        try:
            return parse_duration(wait)
        except ValueError as problem:
            raise _invalid("/wait", str(problem)) from None
    if not 0 <= wait <= 1e9:  # noqa: PLR2004 - some thirty years: anything beyond is a slip, and NaN fails both sides
        raise _invalid("/wait", "must be zero or more seconds")
    return wait


NOT_JSON: Final = BaseException
"""Exceptions of the encoder for a handler's data: it runs code of their classes (properties, time zones), which may
raise anything. Only for encoding itself: nothing is awaited there, so no exception can be a cancellation.
"""

_encoder = msgspec.json.Encoder()
encode_json = _encoder.encode


def encode(message: Outgoing) -> bytes:
    """The message as JSON text.

    Raises:
        Error: INTERNAL_ERROR when a handler's data is not JSON.
    """
    try:
        return encode_json(message)
    except NOT_JSON as problem:
        raise not_json(problem) from problem


def not_json(problem: BaseException) -> Error:
    """The error of a handler whose result cannot be encoded as JSON."""
    error = Error(INTERNAL_ERROR, "The request could not be completed")
    error.add_note(f"the handler's result is not JSON: {describe(problem)}")
    return error


def encode_error(error: Error, request_id: str | None, seq: int | None = None) -> bytes:
    """An `error` message."""
    try:
        body = ErrorBody(error.code, error.message, error.retryable, error.details)
        return encode_json(ErrorMessage(body, request_id, seq))
    except NOT_JSON:
        return encode_json(ErrorMessage(sendable_body(error), request_id, seq))


def sendable_body(error: Error) -> ErrorBody:
    """The error in a form that JSON can express: whatever a handler put into it, the client must get the failure.

    Details that are not JSON are removed; code and message are converted to text.
    """
    try:
        body = ErrorBody(plain_text(error.code), plain_text(error.message), bool(error.retryable), error.details)
    except NOT_JSON:
        # A subclass that lacks the attributes of Error.
        return ErrorBody(INTERNAL_ERROR, "The request could not be completed", retryable=False)
    try:
        encode_json(body)
    except NOT_JSON:
        body.details = {}
    return body


def body_of(error: object) -> ErrorBody | None:
    """The error of a handler's result, in a form that JSON can express; None when there is none.

    Raises:
        TypeError: it is not an Error.
    """
    if error is None:
        return None
    if not isinstance(error, Error):
        raise TypeError(f"the error of the handler's result is a {type(error).__name__}, not a streamer.Error")
    return sendable_body(error)


def plain_text(value: object) -> str:
    """The text of a value, with `?` for what UTF-8 cannot encode: half a surrogate pair, as in names of files."""
    text = value if type(value) is str else safe_text(value, sys.maxsize)
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
