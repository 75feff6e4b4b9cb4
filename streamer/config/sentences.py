"""Violations of a JSON Schema as sentences for people."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from streamer.config.scalars import resolve

_NAMES: Final = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}
_BOUNDS: Final = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "above",
    "exclusiveMaximum": "below",
}
_COUNTS: Final = {
    "minLength": ("at least", "character"),
    "maxLength": ("at most", "character"),
    "minItems": ("at least", "item"),
    "maxItems": ("at most", "item"),
    "minProperties": ("at least", "key"),
    "maxProperties": ("at most", "key"),
}
_SENTENCES: Final = {
    "multipleOf": "must be a multiple of {limit}, not {what}",
    "pattern": "{what} does not match the regular expression {limit}",
    "format": "{what} is not a valid {limit}",
    "uniqueItems": "the same item is listed twice",
    "contains": "none of its items is one of the required ones",
    "not": "{what} is not allowed here",
    "oneOf": "{what} matches more than one of the alternatives; it must match exactly one",
}
_TRUTH: Final = {
    **dict.fromkeys(("yes", "y", "on", "true"), "true"),
    **dict.fromkeys(("no", "n", "off", "false"), "false"),
}
"""Booleans of YAML 1.1 are included."""
_LONGEST: Final = 60
HIDDEN: Final = "***"


def suggest(word: str, known: Iterable[str], *, otherwise: bool = False) -> str:
    """` (did you mean 'x'?)`. Without a similar known word: nothing, or a list of all words if `otherwise` is true."""
    known = list(known)
    folded = {name.casefold(): name for name in reversed(known)}
    near = difflib.get_close_matches(word.casefold(), folded, n=1)
    if near:
        return f" (did you mean {folded[near[0]]!r}?)"
    if not otherwise:
        return ""
    return f" (available: {', '.join(known)})" if known else " (none are available)"


def shown(value: Any, *, hidden: bool = False) -> str:
    """A value as messages show it, on one line."""
    if hidden:
        return HIDDEN
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def type_sentence(wanted: str | Sequence[str], value: Any, *, hidden: bool = False) -> str:
    """What type a value must have, and what it is."""
    kinds = [wanted] if isinstance(wanted, str) else wanted
    names = [_NAMES[kind] for kind in kinds]
    return f"must be {' or '.join(names)}, not {shown(value, hidden=hidden)}{_how_to_fix(kinds, value)}"


def _how_to_fix(wanted: Sequence[str], value: Any) -> str:
    if value is None:
        return "; set it, or remove the key"
    if not isinstance(value, str):
        return ""
    if "boolean" in wanted and value.lower() in _TRUTH:
        return f"; write {_TRUTH[value.lower()]}"
    meant = resolve(value)
    numeric = {"number"} if isinstance(meant, float) else {"integer", "number"}
    if isinstance(meant, int | float) and not isinstance(meant, bool) and numeric & {*wanted}:
        return "; write it without quotes"
    return ""


def choice_sentence(choices: list[Any], value: Any, *, hidden: bool = False) -> str:
    """The allowed values, and which of them is similar."""
    texts = [choice if isinstance(choice, str) else shown(choice) for choice in choices]
    listed = f"one of {', '.join(texts)}" if len(texts) > 1 else "".join(texts)
    hint = ""
    if isinstance(value, str) and not hidden:
        meant = resolve(value)
        quoted = meant != value and any(choice == meant and type(choice) is type(meant) for choice in choices)
        hint = "; write it without quotes" if quoted else suggest(value, texts)
    return f"must be {listed}, not {shown(value, hidden=hidden)}{hint}"


def value_sentence(keyword: str, limit: Any, value: Any, *, hidden: bool = False) -> str:
    """Why a keyword of JSON Schema refuses a value of the right type."""
    what = shown(value, hidden=hidden)
    if keyword in _BOUNDS:
        return f"must be {_BOUNDS[keyword]} {limit}, not {what}"
    if keyword in _COUNTS:
        if keyword.startswith("min") and limit == 1:
            return "must not be empty"
        words, unit = _COUNTS[keyword]
        return f"must have {words} {limit} {unit}{'' if limit == 1 else 's'}, not {len(value)}"
    if keyword == "dependentRequired":
        return f"these keys are missing: {', '.join(_needed(limit, value))}"
    return _SENTENCES.get(keyword, "{what} does not satisfy {keyword}").format(what=what, limit=limit, keyword=keyword)


def _needed(needs: Mapping[str, list[str]], value: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} (needed by {key})"
        for key, names in needs.items()
        if key in value
        for name in names
        if name not in value
    ]
