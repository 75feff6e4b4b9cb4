"""Finds slow regular expressions (nested quantifiers) by running them on long texts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from streamer.config.patterns import MAX_REPEATS, repeats

LONGEST: Final = 256
"""Characters of a text that such an expression may be tried on."""
_TRIED: Final = 500
"""Characters of the texts that are tried."""
_SLOW: Final = 0.01
"""Seconds of the processor; names of hosts and the like take a tenth of that at most."""

Compile = Callable[[Mapping[str, Any]], Any]


def has_counts_within_counts(leaf: Mapping[str, Any]) -> bool:
    """Whether the `pattern` of a subschema may be slow."""
    pattern = leaf.get("pattern")
    return isinstance(pattern, str) and repeats(pattern) > MAX_REPEATS


def slow_pattern(leaf: Mapping[str, Any], compiled: Compile, clock: Callable[[], float] = time.thread_time) -> str:
    """What is wrong with the `pattern` of a subschema; nothing where it is quick, or meets no long text.

    Counts within counts say nothing by themselves: where each character leads to one place of the expression, as in
    names of hosts, they cost nothing.

    Args:
        leaf: the keywords without subschemas.
        compiled: compiles them.
        clock: the processor's time of this thread.
    """
    if not has_counts_within_counts(leaf) or leaf.get("maxLength", LONGEST + 1) <= LONGEST:
        return ""
    pattern = leaf["pattern"]
    letters = sorted({character for character in pattern if character.isalnum()})[:12]
    for letter in letters:
        text = letter * _TRIED + "".join(letters) + "-_@."
        # Once more where it was slow: the first try may have been held up by something else.
        if all(_seconds(pattern, text, compiled, clock) > _SLOW for _ in range(2)):
            return (
                f"the pattern {_shown(pattern)} has counts within counts, so that a long text would take seconds; "
                f"put a maxLength of at most {LONGEST} next to it, or write smaller counts"
            )
    return ""


def _seconds(pattern: str, text: str, compiled: Compile, clock: Callable[[], float]) -> float:
    # What one try has found out makes the next one quicker.
    validator = compiled({"pattern": pattern})
    start = clock()
    validator.is_valid(text)
    return clock() - start


def _shown(pattern: str) -> str:
    return f"'{pattern}'" if len(pattern) <= 80 else f"'{pattern[:80]}…'"  # noqa: PLR2004 - as other messages do
