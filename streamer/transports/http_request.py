"""The HTTP request at the start of every connection: parsed by h11, validated by RFC 9112. No I/O."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Final, NamedTuple

import h11
from multidict import CIMultiDict

from streamer.transports.answers import Answered

MAX_HEAD: Final = 16 * 1024
"""Maximum bytes of the request line and headers."""

_ABSOLUTE: Final = re.compile(rb"(?:https?|wss?)://[^/?#]+([/?].*)?", re.IGNORECASE)
_HOST: Final = re.compile(rb"(?:[A-Za-z0-9._~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
"""A host, optionally with a port (RFC 3986, section 3.2.2); it may be empty (RFC 9112, section 3.2)."""
_SHOWN: Final = re.compile(r":? ?(?:bytearray\(|b?['\"])")
_VERSIONS: Final = (b"1.1", b"1.0")

_OTHER_VERSION: Final = Answered(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "only HTTP/1.1 and HTTP/1.0 are supported\n")
_TOO_LARGE: Final = Answered(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the request line and the headers may have at most {MAX_HEAD} bytes\n"
)
_BAD_TARGET: Final = Answered(
    HTTPStatus.BAD_REQUEST, "the request target must be a path such as /healthz, or an absolute http URL\n"
)
_BAD_HOST: Final = Answered(HTTPStatus.BAD_REQUEST, "the header Host must be one host name, optionally with a port\n")


class HttpRequest(NamedTuple):
    """One request, without its body."""

    method: str
    target: str
    """Path and query, or `*`. Scheme and host of an absolute URL are removed (RFC 9112, section 3.2.2)."""
    headers: CIMultiDict[str]
    """Bytes beyond ASCII are surrogate escapes."""
    version: str = "1.1"

    @property
    def has_body(self) -> bool:
        """Whether the client announces a body."""
        return "Transfer-Encoding" in self.headers or self.headers.get("Content-Length", "0").strip("0") != ""


class RequestReader:
    """Collects bytes until the headers are complete."""

    def __init__(self) -> None:
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._size = 0

    def feed(self, data: bytes) -> HttpRequest | Answered | None:
        """The request once it is complete, or the answer to an invalid one; None while more is expected."""
        if self._size == 0:
            # Empty lines before a request are skipped (RFC 9112, section 2.2).
            data = data.lstrip(b"\r\n")
            if not data:
                return None
        self._size += len(data)
        try:
            self._parser.receive_data(data)
            event = self._parser.next_event()
        except h11.RemoteProtocolError as problem:
            return _refusal(problem)
        if not isinstance(event, h11.Request):
            return None
        # The parser enforces its limit only while the end of the headers is missing.
        return _TOO_LARGE if self._size - len(self.rest) > MAX_HEAD else _checked(event)

    @property
    def rest(self) -> bytes:
        """The bytes after the headers."""
        return self._parser.trailing_data[0]


def _refusal(problem: h11.RemoteProtocolError) -> Answered:
    if problem.error_status_hint == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE:
        return _TOO_LARGE
    # The library names the rule, such as "Missing mandatory Host: header", and may add bytes in Python notation.
    rule = _SHOWN.split(str(problem), maxsplit=1)[0]
    return Answered(HTTPStatus.BAD_REQUEST, f"this is not a valid HTTP request: {rule}\n")


def _checked(event: h11.Request) -> HttpRequest | Answered:
    if event.http_version not in _VERSIONS:
        return _OTHER_VERSION
    target = event.target
    if (absolute := _ABSOLUTE.fullmatch(target)) is not None:
        target = absolute[1] or b"/"
        if target.startswith(b"?"):
            target = b"/" + target
    elif not target.startswith(b"/") and not (target == b"*" and event.method == b"OPTIONS"):
        # The target of CONNECT is a host; `decide` says that the method is not allowed, whatever its target is.
        if event.method != b"CONNECT":
            return _BAD_TARGET
        target = b"/"
    headers: CIMultiDict[str] = CIMultiDict(
        (name.decode("ascii"), value.decode("ascii", "surrogateescape")) for name, value in event.headers
    )
    hosts = headers.getall("Host", [])
    if len(hosts) > 1 or any(_HOST.fullmatch(host.encode("ascii", "surrogateescape")) is None for host in hosts):
        return _BAD_HOST
    return HttpRequest(
        event.method.decode("ascii"), target.decode("ascii"), headers, event.http_version.decode("ascii")
    )
