"""Reads the payload and the metadata of `streamer call` from the command line."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import click


def payload_of(argument: str | None) -> Any:
    """The payload from `JSON`, `@file` or `-` (standard input); None when it is omitted.

    Raises:
        click.BadParameter: the file cannot be read, or the text is not JSON.
    """
    if argument is None:
        return None
    text, source = _text(argument)
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_number)
    except RecursionError:
        raise _bad(f"{source} is nested too deeply") from None
    except ValueError as error:
        hint = "; a string needs quotes: '\"text\"'" if argument.isidentifier() else ""
        raise _bad(f"{source} is not JSON: {error}{hint}") from None


def _text(argument: str) -> tuple[str, str]:
    if argument == "-":
        return _decoded(sys.stdin.buffer.read(), "standard input"), "standard input"
    if argument.startswith("@"):
        path = Path(argument[1:])
        try:
            return _decoded(path.read_bytes(), str(path)), str(path)
        except OSError as error:
            raise _bad(f"{path}: {error.strerror}") from None
    return argument, "the text"


def _decoded(data: bytes, source: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _bad(f"{source} is not UTF-8: {error}") from None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _number(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        # JSON would turn it into null.
        raise ValueError(f"{digits} is too large for a number")
    return number


def metadata_of(pairs: Iterable[str]) -> dict[str, str] | None:
    """The metadata from `key=value` pairs; None when there are none.

    Raises:
        click.BadParameter: a pair without `=`, without a key, or a repeated key.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not (key and separator):
            raise click.BadParameter(f"{pair!r} must be key=value", param_hint="--metadata")
        if key in found:
            raise click.BadParameter(f"the key {key!r} is given twice", param_hint="--metadata")
        found[key] = value
    return found or None


def _bad(message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint="PAYLOAD")
