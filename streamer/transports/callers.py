"""Whose address a connection comes from: the socket's, or what trusted proxies say of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from streamer.core.networks import Address, parse_address, parse_network

FORWARDED: Final = "Forwarded"
_FOR: Final = re.compile(r'(?:^|;)\s*for\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)', re.IGNORECASE)
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::\d+)?|([0-9.]+):\d+", re.ASCII)


class Callers:
    """Addresses of callers.

    Each proxy adds at the right of the header where it had the connection from. So the header is read from there, for
    as long as the one that wrote an entry is trusted: what stands further left, anybody may have written.

    Args:
        trusted: networks and addresses of proxies.
        header: where they write: `X-Forwarded-For`, or `Forwarded` (RFC 7239). Only one is read, because a proxy lets
            the other through as a client wrote it.
    """

    def __init__(self, trusted: Iterable[str], header: str) -> None:
        self._trusted = [parse_network(text) for text in trusted]
        self._header = header

    def trusts(self, address: Address) -> bool:
        """Whether it is a proxy's."""
        return any(address.version == network.version and address in network for network in self._trusted)

    def of(self, socket: Address, headers: Sequence[str]) -> Address:
        """The address that a connection really comes from, as far as that is known.

        Args:
            socket: the other end of it.
            headers: all values of the header.
        """
        nearest = socket
        for entry in reversed(self._entries(headers)):
            if not self.trusts(nearest):
                break
            further = parse_address(entry)
            if further is None:
                # `unknown`, a name that hides it, or nonsense: nothing beyond it can be told.
                break
            nearest = further
        return nearest

    def _entries(self, headers: Sequence[str]) -> list[str]:
        parts = [part.strip() for part in ",".join(headers).split(",")]
        if self._header == FORWARDED:
            parts = [match[1].strip('" ') if (match := _FOR.search(part)) else "" for part in parts]
        return [(match[1] or match[2]) if (match := _WITH_PORT.fullmatch(part)) else part for part in parts]
