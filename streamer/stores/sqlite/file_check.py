"""Checks whether a file can be a service's database, without opening it, since a service may be running on it."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from streamer.contracts.components import BuildContext, OptionProblem
from streamer.stores.sqlite.schema import APPLICATION_ID

_MAGIC: Final = b"SQLite format 3\0"
_HEADER: Final = 100
"""Bytes of a database file before its first page (https://www.sqlite.org/fileformat2.html, section 1.3)."""
_APPLICATION: Final = struct.Struct(">68xI")


def problems(options: Mapping[str, Any], context: BuildContext) -> Iterator[OptionProblem]:
    """Problems that would prevent a start from opening the file."""
    if "\0" in options["path"]:
        yield OptionProblem(("path",), "this is not a path: it contains a null character")
        return
    problem = file_problem(context.path(options["path"]))
    if problem is not None:
        yield OptionProblem(("path",), problem)


def file_problem(path: Path) -> str | None:
    """Why a service cannot use the file, whether it exists already or not; None when it can."""
    folder = path.parent
    if not folder.is_dir():
        return f"{path} cannot be opened: the folder {folder} does not exist; create it, or use another path"
    if not os.access(folder, os.W_OK | os.X_OK):
        return f"{path} cannot be opened: the folder {folder} is not writable, and files are created next to it"
    if not path.exists():
        return None
    if not path.is_file():
        return f"{path} is not a file; use another path in backends.store"
    if not os.access(path, os.R_OK | os.W_OK):
        return f"{path} cannot be opened: this user may not read and write it"
    with path.open("rb") as file:
        header = file.read(_HEADER)
    if header and not header.startswith(_MAGIC):
        return f"{path} is not an SQLite file: use another path in backends.store"
    if len(header) == _HEADER and _APPLICATION.unpack_from(header)[0] not in (0, APPLICATION_ID):
        return f"{path} belongs to another program: use another path in backends.store"
    return None
