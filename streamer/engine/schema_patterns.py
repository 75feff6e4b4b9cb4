"""Finds regular expressions that are slow for some long strings, by testing them: their nested counts multiply."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from streamer.config.patterns import MAX_REPEATS, repeats

LONGEST: Final = 256
"""Maximum characters of a string that such an expression may be used on."""
_TRIED: Final = 500
"""Characters of the test strings."""
_SLOW: Final = 0.01
"""Seconds of processor time; patterns such as host names need at most a tenth."""

Compile = Callable[[Mapping[str, Any]], Any]


def has_counts_within_counts(leaf: Mapping[str, Any]) -> bool:
    """Whether the `pattern` of a subschema may be slow."""
    pattern = leaf.get("pattern")
    return isinstance(pattern, str) and repeats(pattern) > MAX_REPEATS


def slow_pattern(leaf: Mapping[str, Any], compiled: Compile, clock: Callable[[], float] = time.thread_time) -> str:
    """The problem with the `pattern` of a subschema; None where it is fast, or never gets a long string.

    Nested counts alone prove nothing: if each character has only one possible position in the expression, as in host
    names, they cost nothing.

    Args:
        leaf: the keywords without subschemas.
        compiled: compiles them.
        clock: the processor time of this thread.
    """
    if not has_counts_within_counts(leaf) or leaf.get("maxLength", LONGEST + 1) <= LONGEST:
        return ""
    pattern = leaf["pattern"]
    letters = sorted({character for character in pattern if character.isalnum()})[:12]
    for letter in letters:
        text = letter * _TRIED + "".join(letters) + "-_@."
        # Tested again if it was slow: the first test may have been delayed by something else.
        if all(_seconds(pattern, text, compiled, clock) > _SLOW for _ in range(2)):
            return (
                f"the pattern {_shown(pattern)} has nested counts, so that a long string would take seconds; "
                f"add a maxLength of at most {LONGEST}, or use smaller counts"
            )
    return ""


def _seconds(pattern: str, text: str, compiled: Compile, clock: Callable[[], float]) -> float:
    # The results of one test make the next one faster.
    validator = compiled({"pattern": pattern})
    start = clock()
    validator.is_valid(text)
    return clock() - start


def _shown(pattern: str) -> str:
    return f"'{pattern}'" if len(pattern) <= 80 else f"'{pattern[:80]}…'"  # noqa: PLR2004 - as other messages do
