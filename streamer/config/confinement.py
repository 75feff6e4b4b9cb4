"""Where the `$ref`s of schemas may lead: below the folders that the configuration itself names.

A schema's file may come from somewhere else than the configuration. It must not be able to have any file of the machine
read, and a part of it shown in a message.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from streamer.config.paths import located

_FIELDS = ("schema", "result_schema")


class Confinement:
    """Folders below which a file may be read.

    Args:
        folders: them. Links count as what they lead to, here and in what is asked about.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = {_real(folder) for folder in folders}

    def widened(self, file: Path) -> Confinement:
        """With the folder of one more file, by its own name and by what that leads to."""
        made = Confinement(())
        made._folders = {*self._folders, _real(file.parent), _real(file).parent}
        return made

    def holds(self, file: Path) -> bool:
        """Whether the file lies below one of the folders."""
        real = _real(file)
        return any(real.is_relative_to(folder) for folder in self._folders)


def confinement(path: Path, data: Any) -> Confinement:
    """What a configuration names: its own folder, and those of the schemas of its actions.

    Args:
        path: its absolute path.
        data: what it holds.
    """
    made = Confinement((path.parent,))
    for written in _schemas(data):
        made = made.widened(located(path.parent, written))
    return made


def _schemas(data: Any) -> Iterator[str]:
    actions = data.get("actions") if isinstance(data, Mapping) else None
    for action in actions.values() if isinstance(actions, Mapping) else ():
        if isinstance(action, Mapping):
            # A null byte makes it no path, which is told where it is read.
            yield from (value for field in _FIELDS if isinstance(value := action.get(field), str) and "\0" not in value)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
