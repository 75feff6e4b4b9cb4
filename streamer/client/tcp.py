"""A TCP connection to the service's host."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Sequence
from typing import Any


async def connected_socket(host: str, port: int) -> socket.socket:
    """A non-blocking connection to the host.

    Raises:
        OSError: the name has no address, or the error of the last address.
    """
    try:
        # A numeric address needs no resolver, which would need a thread.
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        addresses = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return await first_connected(addresses)


async def first_connected(addresses: Sequence[tuple[Any, ...]]) -> socket.socket:
    """A connection to the first address that accepts one.

    Args:
        addresses: as `getaddrinfo` returns them, at least one.

    Raises:
        OSError: the error of the last one.
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
    """What went wrong and what to do, for the person who configured the address.

    Args:
        error: raised by connecting or by the TLS handshake.
        shown: the address.
    """
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        # The library's messages assume knowledge of its sources.
        return f"the server does not use TLS, or no version that this client supports; {_without_tls(shown)}"
    # asyncio's messages name the call instead of the problem; the system's name the problem. Names that cannot be
    # resolved have negative numbers and other messages.
    number = error.errno or 0
    words = os.strerror(number) if number > 0 else error.strerror or str(error)
    if not words:
        words = "the connection was closed while it was being opened"
    if (
        isinstance(error, ConnectionError)
        and not isinstance(error, ConnectionRefusedError)
        and shown.startswith("wss:")
    ):
        return f"{words}; {_without_tls(shown)}"
    if isinstance(error, socket.gaierror):
        return f"{words} (is the host name correct?)"
    return f"{words} (is the server running there?)"


def _without_tls(shown: str) -> str:
    return f"if the service does not use TLS, its address is {shown.replace('wss:', 'ws:', 1)}"
