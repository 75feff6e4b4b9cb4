"""Restricts the addresses that the name in a configured URL may resolve to.

It imports aiohttp, so it is imported only when it is used.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aiohttp.abc import AbstractResolver, ResolveResult

from streamer.core.networks import is_public, parse_address

LOCAL: Final = "localhost"
_THREADS: Final = 4
_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class OwnThreads(AbstractResolver):
    """Queries the system's resolver in separate threads: neither slow names of other actions nor the threads of
    handlers (`asyncio.to_thread`) delay it.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="streamer-resolver")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of a name.

        Raises:
            OSError: it has none.
        """
        ask = functools.partial(
            socket.getaddrinfo, host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
        found = await asyncio.get_running_loop().run_in_executor(self._threads, ask)
        return [
            ResolveResult(
                hostname=host, host=str(address[0]), port=int(address[1]), family=kind, proto=protocol, flags=_NUMERIC
            )
            for kind, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Accepts no more names; does not wait for pending queries."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class PrivateAddress(OSError):
    """A name resolved only to addresses that are not public."""


class PublicResolver(AbstractResolver):
    """Removes addresses that are not public: this machine's, private and local networks, cloud metadata.

    The owner of the name's zone decides what it resolves to, and may change it between two queries. So the check
    applies to the address that is connected to, which is what a resolver returns. An address in the URL itself is not
    resolved, and `localhost` is allowed: the author of the configuration chose both (RFC 6761, section 6.3, for names
    that end so).

    Args:
        resolver: queries the system.
    """

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = OwnThreads() if resolver is None else resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The public addresses of a name.

        Raises:
            PrivateAddress: it has only others.
            OSError: it has none.
        """
        found = await self._resolver.resolve(host, port, family)
        if host.lower().rstrip(".").rpartition(".")[2] == LOCAL:
            return found
        public = [one for one in found if (address := parse_address(one["host"])) is not None and is_public(address)]
        if not public:
            addresses = ", ".join(one["host"] for one in found)
            raise PrivateAddress(
                errno.EHOSTUNREACH,
                f"the name {host!r} resolves to {addresses}, which is not public; if that is intended, set the "
                "action's allow_private: true, or write the address in the url",
            )
        return public

    async def close(self) -> None:
        await self._resolver.close()
