"""Fetches a set of keys over HTTP. It imports aiohttp, and is itself imported only when a URL is configured."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import aiohttp

from streamer.auth.keys import KeyProblem

MAX_ANSWER: Final = 256 * 1024
"""Bytes."""


async def fetch(url: str, timeout: float) -> bytes:  # noqa: ASYNC109 - it bounds the whole exchange, the body too
    """The response body. Redirects are not followed: keys come only from the configured address.

    Args:
        url: `https://…`.
        timeout: seconds.

    Raises:
        OSError: no response in time, or its status is not 200.
        KeyProblem: the response is too large.
    """
    limit = aiohttp.ClientTimeout(total=timeout)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit, cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(url, allow_redirects=False, headers={"Accept": "application/json"}) as answer,
        ):
            if answer.status != 200:  # noqa: PLR2004 - HTTP's own
                raise OSError(f"{_shown(url)} answered with status {answer.status}")
            body = b""
            async for chunk in answer.content.iter_chunked(MAX_ANSWER):
                body += chunk
                if len(body) > MAX_ANSWER:
                    raise KeyProblem(f"{_shown(url)} sent more than {MAX_ANSWER} bytes")
            return body
    except TimeoutError:
        raise OSError(f"{_shown(url)} did not answer within {timeout:g}s") from None
    except aiohttp.ClientError as problem:
        raise OSError(f"cannot fetch {_shown(url)}: {problem}") from None


def _shown(url: str) -> str:
    """The URL without possible secrets."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{parts.path}"
