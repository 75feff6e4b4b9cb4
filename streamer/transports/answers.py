"""Plain HTTP answers, for requests that do not become a WebSocket."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus
from typing import Final, NamedTuple

_WITHOUT_BODY: Final = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Answered(NamedTuple):
    """The request is answered with plain HTTP, and the connection is closed."""

    status: HTTPStatus
    body: str = ""
    headers: tuple[tuple[str, str], ...] = ()


def encode_answer(answer: Answered, method: str = "GET") -> bytes:
    """The whole answer. The answer to HEAD has the headers of GET and no body (RFC 9110, section 9.3.2)."""
    body = answer.body.encode()
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Cache-Control": "no-store",
        **dict(answer.headers),
        "Date": formatdate(usegmt=True),
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    if answer.status in _WITHOUT_BODY:
        body = b""
        del headers["Content-Type"], headers["Content-Length"]
    lines = [f"HTTP/1.1 {answer.status.value} {answer.status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1", "replace")
    return head if method == "HEAD" else head + body
