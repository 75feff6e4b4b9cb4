"""Who may do what on the admin port. Pure: it decides from the request alone."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Collection
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple

_OPEN: Final = frozenset({"/livez", "/readyz", "/ping"})
"""Paths for probes, which often can send no token."""
_SAFE: Final = frozenset({"GET", "HEAD"})
_SCHEME: Final = "bearer "


class Refused(NamedTuple):
    """Why a request is not served."""

    status: HTTPStatus
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of a request decides whether it is served."""

    method: str
    path: str
    host: str
    """The header `Host`; empty without one."""
    authorization: str = ""
    fetch_site: str = ""
    """The header `Sec-Fetch-Site`, which browsers send and pages cannot set."""
    content_type: str = ""
    has_body: bool = False


class Guard:
    """Decides for each request.

    Args:
        token: what `Authorization: Bearer` must have; None where only this machine can reach the port.
        hosts: names that the header `Host` may have, besides `localhost` and IP addresses.
    """

    def __init__(self, token: str | None, hosts: Collection[str]) -> None:
        self._token = None if token is None else token.encode()
        self._hosts = {_plain(host) for host in hosts} | {"localhost"}

    def refusal(self, asked: Asked) -> Refused | None:
        """Why the request is not served; None when it is."""
        if not self._host_allowed(asked.host):
            return Refused(
                HTTPStatus.MISDIRECTED_REQUEST,
                "this host name is not allowed here; add it to admin.allowed_hosts, or use the IP address",
            )
        if asked.path not in _OPEN and not self.authorized(asked.authorization):
            return Refused(HTTPStatus.UNAUTHORIZED, "send the admin token as 'Authorization: Bearer TOKEN'")
        if asked.method in _SAFE:
            return None
        # A page of another site can neither set a header like this nor change what its browser says of it.
        if not asked.authorization and asked.fetch_site != "same-origin":
            return Refused(
                HTTPStatus.FORBIDDEN, "a change needs the header Authorization, or Sec-Fetch-Site: same-origin"
            )
        if asked.has_body and asked.content_type.partition(";")[0].strip().lower() != "application/json":
            return Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must be application/json")
        return None

    def authorized(self, authorization: str) -> bool:
        """Whether the header has the token, compared in constant time. Always true without a token."""
        if self._token is None:
            return True
        if not authorization.lower().startswith(_SCHEME):
            return False
        given = authorization[len(_SCHEME) :].strip().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(given, self._token)

    def _host_allowed(self, host: str) -> bool:
        """A page whose name was bound to this address afterwards still sends its name, so addresses are safe."""
        name = host.rpartition(":")[0] if _has_port(host) else host
        name = _plain(name)
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def _has_port(host: str) -> bool:
    _, colon, port = host.rpartition(":")
    return bool(colon) and port.isdigit() and (host.count(":") == 1 or "]" in host)


def _plain(host: str) -> str:
    return host.strip("[]").rstrip(".").lower()
