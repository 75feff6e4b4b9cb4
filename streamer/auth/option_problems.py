"""Checks of the options that a schema cannot express: that there is one source of keys, and that the keys are valid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from streamer.auth.factory import configured_key
from streamer.auth.keys import from_jwks
from streamer.contracts.components import BuildContext, OptionProblem
from streamer.core.networks import is_loopback
from streamer.core.units import parse_duration

SOURCES: Final = ("secret", "public_key", "jwks")
MAX_LEEWAY: Final = 600.0
"""Seconds."""


def problems(options: Mapping[str, Any], context: BuildContext) -> Iterator[OptionProblem]:
    """Every problem of options that are valid by the schema. It reads files and does not use the network."""
    if parse_duration(options["leeway"]) > MAX_LEEWAY:
        yield OptionProblem(
            ("leeway",), "the limit is 10m, because expired tokens would otherwise be accepted for too long"
        )
    given = [name for name in SOURCES if name in options]
    if len(given) != 1:
        what = "no key is configured for verifying tokens" if not given else f"{' and '.join(given)} are both set"
        place = (given[1],) if given else ()
        yield OptionProblem(place, f"{what}; set exactly one of: {', '.join(SOURCES)}")
        return
    if given == ["jwks"]:
        yield from _of_a_set(options, context)
    else:
        yield from _of_a_key(options, given[0], context)


def _of_a_key(options: Mapping[str, Any], name: str, context: BuildContext) -> Iterator[OptionProblem]:
    written = options[name]
    place = (name,) if isinstance(written, str) else (name, "file")
    try:
        key = configured_key(options, context)
    except OSError as problem:
        yield OptionProblem(place, f"cannot read the file: {problem.strerror}")
    except UnicodeDecodeError:
        yield OptionProblem(place, "the file is not text; a public key must be in PEM format")
    except ValueError as problem:
        yield OptionProblem(place, str(problem))
    else:
        yield from _unfit(options, {key.algorithm})


def _of_a_set(options: Mapping[str, Any], context: BuildContext) -> Iterator[OptionProblem]:
    jwks = options["jwks"]
    given = [name for name in ("url", "file") if name in jwks]
    if len(given) != 1:
        yield OptionProblem(("jwks",), "set exactly one of: url, file")
    elif given == ["url"]:
        if problem := _of_the_url(jwks["url"], allow_http=jwks.get("allow_http", False)):
            yield OptionProblem(("jwks", "url"), problem)
        yield from _unfit(options, {"RS256", "ES256", "EdDSA"})
    else:
        try:
            keys = from_jwks(context.path(jwks["file"]).read_bytes())
        except OSError as problem:
            yield OptionProblem(("jwks", "file"), f"cannot read the file: {problem.strerror}")
        except ValueError as problem:
            yield OptionProblem(("jwks", "file"), str(problem))
        else:
            yield from _unfit(options, {key.algorithm for key in keys})


def _of_the_url(url: str, *, allow_http: bool) -> str | None:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        return "this is not a URL"
    if url.startswith("https://") or allow_http or is_loopback(host):
        return None
    return "without TLS, an attacker on the network could replace the keys; use https://, or set allow_http: true"


def _unfit(options: Mapping[str, Any], fitting: set[str]) -> Iterator[OptionProblem]:
    for index, algorithm in enumerate(options.get("algorithms", ())):
        if algorithm not in fitting:
            keys = "key is" if len(fitting) == 1 else "keys are"
            message = (
                f"{algorithm} cannot be used: the {keys} for {', '.join(sorted(fitting))}; remove it from the list"
            )
            yield OptionProblem(("algorithms", index), message)
