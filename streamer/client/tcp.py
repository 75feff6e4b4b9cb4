"""A TCP connection to the service's host."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Sequence
from typing import Any


async def connected_socket(host: str, port: int) -> socket.socket:
    """A connection to the host, which does not block.

    Raises:
        OSError: the name has no address, or what the last of its addresses said.
    """
    try:
        # An address in numbers is known without asking anybody, which would cost a thread.
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        addresses = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await first_connected(addresses)


async def first_connected(addresses: Sequence[tuple[Any, ...]]) -> socket.socket:
    """A connection to the first of the addresses that takes one.

    Args:
        addresses: as `getaddrinfo` gives them, at least one.

    Raises:
        OSError: what the last of them said.
    """
    *others, last = addresses
    for one in others:
        try:
            return await _connected(*one)
        except OSError:
            continue
    return await _connected(*last)


async def _connected(family: int, kind: int, protocol: int, _name: str, address: Any) -> socket.socket:
    attempt = socket.socket(family, kind, protocol)
    try:
        attempt.settimeout(0)
        attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(attempt, address)
    except BaseException:
        attempt.close()
        raise
    return attempt


def words_of(error: OSError, shown: str) -> str:
    """What went wrong and what to do, for the person who gave the address.

    Args:
        error: what dialling or the set-up of TLS raised.
        shown: the address.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        # The library's words are for those who know its sources.
        return f"what listens there does not speak TLS, or no version that this client takes; {_without_tls(shown)}"
    # asyncio's own words name its call and not what happened; the system's do. Names that do not resolve have
    # negative numbers and words of their own.
    number = error.errno or 0
    words = os.strerror(number) if number > 0 else error.strerror or str(error)
    if not words:
        words = "the connection was closed before it was open"
    if (
        isinstance(error, ConnectionError)
        and not isinstance(error, ConnectionRefusedError)
        and shown.startswith("wss:")
    ):
        return f"{words}; {_without_tls(shown)}"
    if isinstance(error, socket.gaierror):
        return f"{words} (is the name of the host right?)"
    return f"{words} (is the server running there?)"


def _without_tls(shown: str) -> str:
    return f"if the service has no TLS, its address is {shown.replace('wss:', 'ws:', 1)}"
