"""The server's TLS certificate."""

from __future__ import annotations

import ssl

from streamer.config.settings import TlsSettings
from streamer.core.errors import StartError


class TlsProblem(StartError):
    """The certificate or its key cannot be used.

    Args:
        field: of `server.tls`: `cert` or `key`; empty for both together.
        reason: why.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"server.tls{'.' if field else ''}{field}: {reason}")
        self.field = field
        self.reason = reason


def server_context(settings: TlsSettings) -> ssl.SSLContext:
    """A context for incoming connections.

    Raises:
        TlsProblem: the certificate or its key cannot be used.
    """

    def refuse() -> str:
        raise TlsProblem("key", f"{settings.key} is encrypted; use a key without a passphrase")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    # Explicit, so that neither an older Python nor OpenSSL's configuration on this machine lowers it.
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Checked separately, because the error of the call below does not say which of the two files it could not read.
    for place, path in (("cert", settings.cert), ("key", settings.key)):
        try:
            path.open("rb").close()
        except OSError as problem:
            raise TlsProblem(place, f"cannot read {path}: {problem.strerror}") from None
    try:
        context.load_cert_chain(settings.cert, settings.key, password=refuse)
    except ssl.SSLError as problem:
        what = problem.reason or problem
        raise TlsProblem("", f"cannot use {settings.cert} with the key {settings.key}: {what}") from None
    return context
