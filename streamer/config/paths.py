"""Resolves the paths in the file."""

from __future__ import annotations

import os
from pathlib import Path


def located(folder: Path, written: str) -> Path:
    """The absolute path: a relative one starts from the folder, `~` is expanded, and symbolic links are kept.

    `~name` is kept when there is no such user; opening it then reports that it does not exist.
    """
    try:
        expanded = Path(written).expanduser()
    except RuntimeError:
        expanded = Path(written)
    return Path(os.path.normpath(folder / expanded))
