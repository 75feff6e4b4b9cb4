"""`streamer token`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamer.cli.options import Duration, config_option, examples
from streamer.cli.output import note, say

if TYPE_CHECKING:
    from streamer.config.settings import ComponentUse


@click.command(
    short_help="Create a token for development.",
    epilog=examples(
        "streamer token --new-key keys/dev.pem    # and auth: {use: jwt, public_key: {file: keys/dev.pub.pem}}",
        "streamer token --key keys/dev.pem --user alice --tenant acme --permission reports:write",
        "streamer token --user alice --expires 5m    # with the file's secret",
        "STREAMER_TOKEN=$(streamer token --user alice) streamer call streamer.actions",
    ),
)
@config_option
@click.option("--user", help="The user of the token.")
@click.option("--tenant", help="The user's tenant. Default: the tenant of the file, if it has only one.")
@click.option("--permission", "permissions", multiple=True, help="A permission of the user; can be repeated.")
@click.option(
    "--expires",
    type=Duration(),
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="How long the token is valid.",
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file of the private key (PEM). Default: sign with the secret of the file.",
)
@click.option("--kid", help="The key id (kid) in the token, for a JWKS.")
@click.option(
    "--new-key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Instead of a token, create a key pair: write the private key to this file, and the public key next to it.",
)
@click.option(
    "--algorithm",
    type=click.Choice(["EdDSA", "ES256", "RS256"]),
    default="EdDSA",
    show_default=True,
    help="The algorithm of the new key.",
)
def command(
    *,
    config_path: Path,
    user: str | None,
    tenant: str | None,
    permissions: tuple[str, ...],
    expires: float,
    key: Path | None,
    kid: str | None,
    new_key: Path | None,
    algorithm: str,
) -> None:
    """Create a token that the 'auth' section of the configuration file accepts, and print it.

    For development: in production, an identity provider creates tokens, and this service has only its public keys. If
    the service would refuse the token, the reason is printed to standard error.
    """
    if new_key is not None:
        _write_pair(new_key, algorithm)
        return
    if user is None:
        raise click.UsageError("--user is missing: name the user of the token")
    from streamer.auth import issuer
    from streamer.cli.config_file import read
    from streamer.core.clock import SystemClock

    settings, _ = read(config_path)
    if settings.auth.name != "jwt":
        raise click.UsageError(
            f"{config_path}: its auth is {settings.auth.name!r}; tokens can be created only for auth: {{use: jwt, …}}"
        )
    options = settings.auth.options
    if key is None and "secret" not in options:
        raise click.UsageError("--key is missing: the file has only public keys, and signing needs a private key")
    claims = issuer.claims_of(
        options,
        user=user,
        tenant=tenant,
        permissions=permissions,
        now=SystemClock.now(),
        lifetime=expires,
    )
    try:
        token = issuer.signed(claims, options["secret"] if key is None else _text_of(key), kid=kid)
    except ValueError as problem:
        raise click.UsageError(f"--key: {problem}") from None
    _warn(token, settings.auth, settings.base_dir)
    say(token)


def _text_of(key: Path) -> str:
    try:
        return key.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError("this is not text; a private key must be in PEM format") from None


def _warn(token: str, auth: ComponentUse, base_dir: Path) -> None:
    """Prints why the service will refuse the token, as far as this process can know."""
    from streamer.auth import factory, issuer
    from streamer.auth.token import unchecked_payload
    from streamer.contracts.components import BuildContext
    from streamer.core.clock import SystemClock
    from streamer.core.errors import Error

    try:
        issuer.check_fits(
            token, auth.options, factory.allowed_algorithms(auth.options), BuildContext(base_dir=base_dir)
        )
        factory.rules(auth.options).principal(unchecked_payload(token), SystemClock.now())
    except Error as refusal:
        note(f"streamer: the service will refuse this token: {refusal.message}")


def _write_pair(private_path: Path, algorithm: str) -> None:
    from streamer.auth.issuer import new_pair

    public_path = private_path.with_suffix(".pub.pem")
    private, public = new_pair(algorithm)
    with contextlib.suppress(OSError):
        # Errors of the folder are reported when the file is opened.
        private_path.parent.mkdir(parents=True, exist_ok=True)
    try:
        for path, text, mode in ((private_path, private, 0o600), (public_path, public, 0o644)):
            # Never replaces an existing file, and is never readable by others, not even for a moment.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
    except FileExistsError as problem:
        raise click.UsageError(
            f"--new-key: {problem.filename} already exists and is not replaced; choose another name"
        ) from None
    except OSError as problem:
        raise click.UsageError(f"--new-key: cannot write {problem.filename}: {problem.strerror}") from None
    note(f"private key: {private_path}    keep it secret; sign with --key {private_path}")
    note(f"public key:  {public_path}    auth: {{use: jwt, public_key: {{file: {public_path}}}}}")
