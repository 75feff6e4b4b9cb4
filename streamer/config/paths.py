"""Paths as the file writes them."""

from __future__ import annotations

import os
from pathlib import Path


def located(folder: Path, written: str) -> Path:
    """The path, absolute: a relative one from the folder, `~` expanded, links left as they are.

    A `~name` of nobody stays what it is: whoever opens it says that it is not there.
    """
    try:
        expanded = Path(written).expanduser()
    except RuntimeError:
        expanded = Path(written)
    return Path(os.path.normpath(folder / expanded))
