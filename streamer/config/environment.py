"""Fills `${NAME}` and `${NAME:-default}` from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from streamer.config.applicable import types_at
from streamer.config.document import Document, Place
from streamer.config.scalars import resolve
from streamer.config.shape import file_schema

_VARIABLE: Final = re.compile(r"\$\$\{|\$\{([^{}\n]*)\}|\$\{")
_INSIDE: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.ASCII)
_TYPES: Final[Mapping[type, tuple[str, ...]]] = {
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    type(None): ("null",),
}


def fill(document: Document, environ: Mapping[str, str]) -> None:
    """Fills every string of the document in place, and records the places and variables in `document.filled`.

    `$${` is a literal `${`. As in a shell, the default of `${NAME:-default}` also replaces an empty variable. A filled
    value stays a string, except where the file's schema accepts only numbers or booleans.
    """
    document.data = _filled(document, document.data, (), environ)
    convert(document, file_schema(), ())


def convert(document: Document, schema: Mapping[str, Any], place: Place) -> None:
    """Converts filled strings to numbers and booleans where the schema requires those. A string that cannot be
    converted stays, and the check against the schema reports it.

    Args:
        document: with the environment filled in.
        schema: of the value at `place`.
        place: only values below it are changed.
    """
    for filled in document.filled:
        if filled[: len(place)] != place:
            continue
        wanted = types_at(schema, filled[len(place) :])
        text = document.at(filled)
        if not wanted or "string" in wanted or not isinstance(text, str):
            continue
        value = resolve(text)
        if filled and wanted & {*_TYPES.get(type(value), ())}:
            document.at(filled[:-1])[filled[-1]] = value


def _filled(document: Document, value: Any, place: Place, environ: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(document, item, (*place, key), environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(document, item, (*place, index), environ) for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def replace(match: re.Match[str]) -> str:
        written = match[0]
        if written == "$${":
            return "${"
        inside = None if match[1] is None else _INSIDE.fullmatch(match[1])
        if inside is None:
            shown = "'${' is not closed" if match[1] is None else repr(written)
            _report(document, place, "bad-variable", written, f"{shown}: write {_FORMS}")
            return ""
        name, default = inside.groups()
        given = environ.get(name)
        if default is not None and not given:
            given = default
        if given is None:
            message = f"the environment variable {name} is not set; set it, or write ${{{name}:-default}}"
            _report(document, place, "missing-variable", written, message)
            return ""
        document.filled.setdefault(place, []).append((name, given))
        return given

    return _VARIABLE.sub(replace, value)


_FORMS: Final = "${NAME} or ${NAME:-default}; a literal ${ is written $${"


def _report(document: Document, place: Place, code: str, written: str, message: str) -> None:
    document.note(code, *document.position_in_text(place, written), place, message)
    document.broken.add(place)
