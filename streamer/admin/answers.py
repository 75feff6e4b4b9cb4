"""JSON answers of the admin port, bounded in bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

MAX_ANSWER: Final = 4 * 1024 * 1024
"""Bytes of one answer."""
MAX_PAGE: Final = 200
"""Items of one page."""
DEFAULT_PAGE: Final = 50


def json_answer(value: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    """The value as JSON. One that is larger than `MAX_ANSWER` is an error that names its size instead."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
    if len(body) > MAX_ANSWER:
        return problem(HTTPStatus.INSUFFICIENT_STORAGE, f"the answer has {len(body)} bytes; {MAX_ANSWER} are the most")
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


def problem(status: HTTPStatus, message: str, **more: Any) -> web.Response:
    """An error as JSON."""
    return json_answer({"error": message, **more}, status)


class BadQuery(Exception):
    """A parameter of the query is not what it must be; the message says why."""


def page_size(query: Mapping[str, str]) -> int:
    """The parameter `limit`.

    Raises:
        BadQuery: it is no number from 1 to `MAX_PAGE`.
    """
    written = query.get("limit", str(DEFAULT_PAGE))
    if not written.isascii() or not written.isdigit() or not 1 <= int(written[:9]) <= MAX_PAGE:
        raise BadQuery(f"limit must be a number from 1 to {MAX_PAGE}")
    return int(written)


def only(query: Mapping[str, str], *names: str) -> None:
    """Refuses parameters that do nothing: a filter with a typing error would show everything.

    Raises:
        BadQuery: there is another parameter than these.
    """
    unknown = sorted(set(query) - set(names))
    if unknown:
        raise BadQuery(f"unknown parameter {unknown[0]!r}; there are: {', '.join(names) or 'none'}")
