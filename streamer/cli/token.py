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
    short_help="Make a token for development.",
    epilog=examples(
        "streamer token --new-key keys/dev.pem    # and auth: {use: jwt, public_key: {file: keys/dev.pub.pem}}",
        "streamer token --key keys/dev.pem --user alice --tenant acme --permission reports:write",
        "streamer token --user alice --expires 5m    # with the file's secret",
        "STREAMER_TOKEN=$(streamer token --user alice) streamer call streamer.actions",
    ),
)
@config_option
@click.option("--user", help="Whom the token is for.")
@click.option("--tenant", help="Of which tenant; the file's only one when left out.")
@click.option("--permission", "permissions", multiple=True, help="What the user may do; may be repeated.")
@click.option(
    "--expires", type=Duration(), default="1h", show_default=True, metavar="DURATION", help="How long it is good for."
)
@click.option(
    "--key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The private key's file (PEM); the file's secret signs when left out.",
)
@click.option("--kid", help="What the token calls its key, for a JWKS.")
@click.option(
    "--new-key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write a new private key to this file, and its public key beside it, instead of making a token.",
)
@click.option(
    "--algorithm",
    type=click.Choice(["EdDSA", "ES256", "RS256"]),
    default="EdDSA",
    show_default=True,
    help="What the new key is for.",
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
    """Make a token that the configuration file's 'auth' lets in, and print it.

    For development: in production an identity provider makes tokens, and this service has only its public keys. What
    the token lacks to be let in is told on standard error.
    """
    if new_key is not None:
        _write_pair(new_key, algorithm)
        return
    if user is None:
        raise click.UsageError("--user is missing: whom the token is for")
    from streamer.auth import issuing
    from streamer.cli.reading import read
    from streamer.core.clock import SystemClock

    settings, _ = read(config_path)
    if settings.auth.name != "jwt":
        raise click.UsageError(
            f"{config_path}: its auth is {settings.auth.name!r}; tokens are made for auth: {{use: jwt, …}}"
        )
    options = settings.auth.options
    if key is None and "secret" not in options:
        raise click.UsageError("--key is missing: the file has only public keys, and a private one signs")
    claims = issuing.claims_of(
        options,
        user=user,
        tenant=tenant,
        permissions=permissions,
        now=SystemClock.now(),
        lifetime=expires,
    )
    try:
        token = issuing.signed(claims, options["secret"] if key is None else _text_of(key), kid=kid)
    except ValueError as problem:
        raise click.UsageError(f"--key: {problem}") from None
    _warn(token, settings.auth, settings.base_dir)
    say(token)


def _text_of(key: Path) -> str:
    try:
        return key.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError("this is not a text; a private key in PEM is one") from None


def _warn(token: str, auth: ComponentUse, base_dir: Path) -> None:
    """Says why the service will refuse it, as far as that can be told from here."""
    from streamer.auth import building, issuing
    from streamer.auth.token import unchecked_payload
    from streamer.contracts.components import BuildContext
    from streamer.core.clock import SystemClock
    from streamer.core.errors import Error

    try:
        issuing.check_fits(
            token, auth.options, building.allowed_algorithms(auth.options), BuildContext(base_dir=base_dir)
        )
        building.rules(auth.options).principal(unchecked_payload(token), SystemClock.now())
    except Error as refusal:
        note(f"streamer: the service will refuse this token: {refusal.message}")


def _write_pair(private_path: Path, algorithm: str) -> None:
    from streamer.auth.issuing import new_pair

    public_path = private_path.with_suffix(".pub.pem")
    private, public = new_pair(algorithm)
    with contextlib.suppress(OSError):
        # What is wrong with the folder is told where the file is opened.
        private_path.parent.mkdir(parents=True, exist_ok=True)
    try:
        for path, text, mode in ((private_path, private, 0o600), (public_path, public, 0o644)):
            # Never over a key that is there, and never readable by others, not for a moment.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
    except FileExistsError as problem:
        raise click.UsageError(f"--new-key: {problem.filename} is there already; a key is never replaced") from None
    except OSError as problem:
        raise click.UsageError(f"--new-key: {problem.filename} cannot be written: {problem.strerror}") from None
    note(f"private key: {private_path}    keep it to yourself; it signs with --key {private_path}")
    note(f"public key:  {public_path}    auth: {{use: jwt, public_key: {{file: {public_path}}}}}")
