"""The client's address of a connection: the socket's, or the one reported by trusted proxies. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from streamer.core.networks import Address, parse_address, parse_network

FORWARDED: Final = "Forwarded"
_FOR: Final = re.compile(r'(?:^|;)\s*for\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.IGNORECASE)
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::\d+)?|([0-9.]+):\d+", re.ASCII)


class Callers:
    """Finds the addresses of clients.

    Each proxy appends the address of its client at the right of the header. So the header is read from the right, as
    long as the writer of an entry is trusted: everything further left may be forged.

    Args:
        trusted: networks and addresses of proxies.
        header: the header that they write: `X-Forwarded-For`, or `Forwarded` (RFC 7239). Only one is read, because a
            proxy passes on the other as a client wrote it.
    """

    def __init__(self, trusted: Iterable[str], header: str) -> None:
        self._trusted = [parse_network(text) for text in trusted]
        self._header = header

    def trusts(self, address: Address) -> bool:
        """Whether the address belongs to a proxy."""
        return any(address.version == network.version and address in network for network in self._trusted)

    def of(self, socket: Address, headers: Sequence[str]) -> Address:
        """The client's address, as far as it is known.

        Args:
            socket: the peer's address.
            headers: all values of the header.
        """
        nearest = socket
        for entry in reversed(self._entries(headers)):
            if not self.trusts(nearest):
                break
            further = parse_address(entry)
            if further is None:
                # `unknown`, an obfuscated name, or an invalid entry: nothing further is known.
                break
            nearest = further
        return nearest

    def _entries(self, headers: Sequence[str]) -> list[str]:
        parts = [part.strip() for part in ",".join(headers).split(",")]
        if self._header == FORWARDED:
            parts = [match[1].strip('" ') if (match := _FOR.search(part)) else "" for part in parts]
        return [(match[1] or match[2]) if (match := _WITH_PORT.fullmatch(part)) else part for part in parts]
