"""IP addresses and networks: parsing, and which of them are public."""

from __future__ import annotations

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_ONE_SITE: Final = 64
"""Bits of an IPv6 address that identify a network; its owner has all addresses in it (RFC 4291, section 2.5.4)."""
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses in the notation of a translator (RFC 6052)."""


def parse_network(text: str) -> Network:
    """The network of `10.0.0.0/8`, `2001:db8::/32`, or of a single address.

    Raises:
        ValueError: it is neither.
    """
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a network or an IP address: write it as in 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"
        ) from None


def parse_address(text: str) -> Address | None:
    """The address; None for invalid text. A scope (`fe80::1%eth0`) is removed, and an IPv4 address mapped into IPv6
    becomes an IPv4 address.
    """
    try:
        return plain(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return None


def plain(address: Address) -> Address:
    """The IPv4 address of one that is mapped into IPv6 (RFC 4291, section 2.5.5.2)."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return address if mapped is None else mapped


def address_block(address: Address) -> str:
    """The block that counts as one address: an IPv4 address, or an IPv6 network of 64 bits."""
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.IPv6Network((address, _ONE_SITE), strict=False))
    return str(address)


def is_public(address: Address) -> bool:
    """Whether the address is public: not of this machine, private, link-local, multicast or reserved, and not such an
    IPv4 address written as IPv6.
    """
    address = plain(address)
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(address.packed[-4:]))
        if address.sixtofour is not None:
            return is_public(address.sixtofour)
        # Teredo tunnels through NAT: no intended destination has such an address (RFC 4380).
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server on this host. Of names, only `localhost` is known to be local."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
