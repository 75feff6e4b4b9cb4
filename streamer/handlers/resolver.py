"""Which addresses the name in a declared URL may lead to.

It imports aiohttp, so nothing imports it before it is used.
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
    """Asks the system in threads of its own: neither other actions' slow names nor the threads that handlers take for
    themselves (`asyncio.to_thread`) hold it up.
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
        """Takes no more names; it does not wait for those that are being asked for."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class PrivateAddress(OSError):
    """A name led only to addresses that are not public."""


class PublicResolver(AbstractResolver):
    """Leaves out addresses that are not public: of this machine, private and local networks, cloud metadata.

    Whoever runs the name's zone decides what it leads to, and may decide otherwise between two looks; so what counts
    is the very address that is connected to, which is what a resolver returns. An address that stands in the URL
    itself never comes here, and `localhost` passes: both are the author's own words (RFC 6761, section 6.3, for the
    names that end so).

    Args:
        resolver: asks the system.
    """

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = OwnThreads() if resolver is None else resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The public addresses of a name.

        Raises:
            PrivateAddress: it has others, and none of these.
            OSError: it has none at all.
        """
        found = await self._resolver.resolve(host, port, family)
        if host.lower().rstrip(".").rpartition(".")[2] == LOCAL:
            return found
        public = [one for one in found if (address := parse_address(one["host"])) is not None and is_public(address)]
        if not public:
            led = ", ".join(one["host"] for one in found)
            raise PrivateAddress(
                errno.EHOSTUNREACH,
                f"the name {host!r} leads to {led}, which is not on the internet at large; if that is meant, set the "
                "action's allow_private: true, or write the address itself",
            )
        return public

    async def close(self) -> None:
        await self._resolver.close()
