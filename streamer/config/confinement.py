"""Confines the `$ref`s of schemas to the folders that the configuration itself names.

A schema's file may come from another author than the configuration. It must not be able to read any file of the machine
and have a part of it shown in a message.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from streamer.config.paths import located

_FIELDS = ("schema", "result_schema")


class Confinement:
    """Folders whose files may be read.

    Args:
        folders: the allowed folders. Symbolic links are resolved, in folders and in the paths that are checked.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = {_real(folder) for folder in folders}

    def widened(self, file: Path) -> Confinement:
        """Adds the folder of a file, both by the file's own path and by the path it links to."""
        made = Confinement(())
        made._folders = {*self._folders, _real(file.parent), _real(file).parent}
        return made

    def holds(self, file: Path) -> bool:
        """Whether the file is in one of the folders, or below."""
        real = _real(file)
        return any(real.is_relative_to(folder) for folder in self._folders)


def confinement(path: Path, data: Any) -> Confinement:
    """The folders that a configuration names: its own, and those of its actions' schemas.

    Args:
        path: its absolute path.
        data: its content.
    """
    made = Confinement((path.parent,))
    for written in _schemas(data):
        made = made.widened(located(path.parent, written))
    return made


def _schemas(data: Any) -> Iterator[str]:
    actions = data.get("actions") if isinstance(data, Mapping) else None
    for action in actions.values() if isinstance(actions, Mapping) else ():
        if isinstance(action, Mapping):
            # A null byte makes it no path; this is reported where it is read.
            yield from (value for field in _FIELDS if isinstance(value := action.get(field), str) and "\0" not in value)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
