"""Builds keys, algorithms, rules and the authenticator from the options."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from streamer.auth.authenticator import JwtAuthenticator
from streamer.auth.claims import Rules
from streamer.auth.keys import Key, from_pem, from_secret
from streamer.auth.options import ALGORITHMS
from streamer.auth.sources import FetchedKeys, FileKeys, KeySource, OneKey
from streamer.contracts.components import BuildContext
from streamer.core.errors import StartError
from streamer.core.units import parse_duration, parse_size

Options = Mapping[str, Any]


@contextlib.asynccontextmanager
async def build(options: Options, context: BuildContext) -> AsyncIterator[JwtAuthenticator]:
    """The authenticator; while it is open, keys at a URL are fetched in the background.

    Raises:
        StartError: a key file was removed, or became unusable, after the options were checked.
    """
    algorithms = allowed_algorithms(options)
    async with contextlib.AsyncExitStack() as stack:
        try:
            source = _source(options, algorithms, context, stack)
        except (OSError, ValueError) as problem:
            raise StartError(f"auth: cannot use the keys: {problem}") from None
        yield JwtAuthenticator(
            source,
            rules(options),
            algorithms=algorithms,
            max_size=int(parse_size(options["max_token_size"])),
            clock=context.clock,
        )


def allowed_algorithms(options: Options) -> tuple[str, ...]:
    """The allowed signature algorithms: only HS256 with a secret, and never HS256 with public keys."""
    if "secret" in options:
        return ("HS256",)
    return tuple(one for one in options.get("algorithms", ALGORITHMS) if one != "HS256")


def configured_key(options: Options, context: BuildContext) -> Key:
    """The single key in the options, or in the file that they name.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a usable key.
    """
    if "secret" in options:
        return from_secret(options["secret"])
    written = options["public_key"]
    text = written if isinstance(written, str) else context.path(written["file"]).read_text(encoding="utf-8")
    return from_pem(text)


def rules(options: Options) -> Rules:
    """The required values of claims."""
    tenants = options.get("tenants")
    return Rules(
        issuers=_set(options.get("issuer")),
        audiences=_set(options.get("audience")),
        leeway=parse_duration(options["leeway"]),
        required=tuple(options["require"]),
        tenants=None if tenants is None else frozenset(tenants),
        user_claim=options["user_claim"],
        tenant_claim=options["tenant_claim"],
        permissions_claim=options["permissions_claim"],
        passed_on=tuple(options["claims"]),
    )


def _set(written: str | list[str] | None) -> frozenset[str]:
    return frozenset([written] if isinstance(written, str) else written or ())


def _source(
    options: Options, algorithms: tuple[str, ...], context: BuildContext, stack: contextlib.AsyncExitStack
) -> KeySource:
    jwks = options.get("jwks")
    if jwks is None:
        return OneKey(configured_key(options, context))
    if "file" in jwks:
        return FileKeys(context.path(jwks["file"]), algorithms, clock=context.clock, logger=context.logger)

    async def fetch() -> bytes:
        from streamer.auth import key_fetcher  # noqa: PLC0415 - aiohttp costs more than all the rest

        return await key_fetcher.fetch(jwks["url"], parse_duration(jwks["timeout"]))

    keys = FetchedKeys(
        fetch,
        algorithms,
        refresh=parse_duration(jwks["refresh"]),
        cooldown=parse_duration(jwks["cooldown"]),
        clock=context.clock,
        logger=context.logger,
    )
    background = asyncio.create_task(keys.run(), name="scheduled fetch of keys")
    stack.push_async_callback(_end, background)
    return keys


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
