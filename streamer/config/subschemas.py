"""Finds the subschemas of a JSON Schema, in drafts 7, 2019-09 and 2020-12."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

Place = tuple[str | int, ...]

_ONE: Final = (
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
)
_LISTS: Final = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
_NAMED: Final = ("$defs", "definitions", "dependencies", "dependentSchemas", "patternProperties", "properties")


def children(schema: Mapping[str, Any]) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """The subschemas one level below, each with its place; those that are not objects are left out."""
    for keyword, value in schema.items():
        if isinstance(value, Mapping) and keyword in _ONE:
            yield (keyword,), value
        elif isinstance(value, Mapping) and keyword in _NAMED:
            yield from (((keyword, name), item) for name, item in value.items() if isinstance(item, Mapping))
        elif isinstance(value, list) and keyword in _LISTS:
            yield from (((keyword, index), item) for index, item in enumerate(value) if isinstance(item, Mapping))


def walk(schema: Any, place: Place = ()) -> Iterator[tuple[Place, Mapping[str, Any]]]:
    """The schema and all its subschemas."""
    waiting = [(place, schema)] if isinstance(schema, Mapping) else []
    while waiting:
        here, part = waiting.pop()
        yield here, part
        waiting.extend(((*here, *below), child) for below, child in children(part))


def patterns(schema: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    """The regular expressions of one schema, without those of its subschemas."""
    own = schema.get("pattern")
    if isinstance(own, str):
        yield ("pattern",), own
    named = schema.get("patternProperties")
    if isinstance(named, Mapping):
        yield from ((("patternProperties", pattern), pattern) for pattern in named if isinstance(pattern, str))
