"""`${NAME}` and `${NAME:-default}` filled from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from streamer.config.document import Document, Path_, resolve

_VARIABLE: Final = re.compile(r"\$(\$\{)|\$\{([^{}]*)\}|(\$\{)")
_NAME: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL | re.ASCII)


def fill(document: Document, environ: Mapping[str, str]) -> set[Path_]:
    """Fills every string of the document in place. Returns the paths of those that were.

    `$${` is a literal `${`. What was written without quotes takes its type after it was filled, so `port: ${PORT}` is
    a number.
    """
    filled: set[Path_] = set()
    document.data = _fill(document, document.data, (), environ, filled)
    return filled


def _fill(document: Document, value: Any, path: Path_, environ: Mapping[str, str], filled: set[Path_]) -> Any:
    if isinstance(value, dict):
        return {key: _fill(document, item, (*path, key), environ, filled) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(document, item, (*path, index), environ, filled) for index, item in enumerate(value)]
    if not isinstance(value, str) or "${" not in value:
        return value

    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return "${"
        name = None if match[2] is None else _NAME.fullmatch(match[2])
        if name is None:
            document.problem("bad-variable", path, "write ${NAME} or ${NAME:-default}; a literal ${ is written $${")
            return ""
        filled.add(path)
        given = environ.get(name[1])
        if given is None or (given == "" and name[2] is not None):
            if name[2] is None:
                document.problem(
                    "missing-variable",
                    path,
                    f"the environment variable {name[1]} is not set; set it, or write ${{{name[1]}:-default}}",
                )
                return ""
            return name[2]
        return given

    text = _VARIABLE.sub(replace, value)
    return resolve(text) if path in document.plain and path in filled else text
