"""Finds regular expressions with nested counts. A match takes time linear in the text, multiplied by the product of the
counts.
"""

from __future__ import annotations

import re
from typing import Final

MAX_REPEATS: Final = 1_000
"""Limit for the product of nested counts: above it, a text of 128 KiB can take seconds."""

_TOKEN: Final = re.compile(
    r"\\(?:[pP]\{[^}]*\}|x\{[^}]*\}|u\{[^}]*\}|.)"
    r"|\[(?:\\.|[^\]\\])*\]"
    r"|\{(?P<least>[0-9]+)(?:,(?P<most>[0-9]*))?\}"
    r"|(?P<other>.)",
    re.DOTALL,
)


def repeats(pattern: str) -> int:
    """The largest product of nested counts; 1 where none are nested."""
    open_groups = [1]
    largest = atom = 1
    for token in _TOKEN.finditer(pattern):
        if token["least"] is not None:
            inner = atom
            atom *= max(int(token["least"][:9]), int((token["most"] or "0")[:9]), 1)
            open_groups[-1] = max(open_groups[-1], atom)
            if inner > 1:
                largest = max(largest, atom)
        elif token["other"] == "(":
            open_groups.append(1)
            atom = 1
        elif token["other"] == ")" and len(open_groups) > 1:
            atom = open_groups.pop()
            open_groups[-1] = max(open_groups[-1], atom)
        elif token["other"] not in ("?", "*", "+"):
            atom = 1
    return largest
