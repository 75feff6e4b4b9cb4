"""A TCP connection to the service's host."""

from __future__ import annotations

import asyncio
import socket
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
