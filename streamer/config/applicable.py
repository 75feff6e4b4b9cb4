"""Finds the parts of a JSON Schema that apply to a place, as far as this is known without the value."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Schema = Mapping[str, Any]

_ALL_OF: Final = ("allOf", "anyOf", "oneOf")
_BRANCHES: Final = ("then", "else")
_NAMES: Final[Mapping[type, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    type(None): "null",
    dict: "object",
    list: "array",
}


def applicable(schema: Schema, place: Sequence[str | int]) -> list[Schema]:
    """Every subschema that may apply to the place, from all branches and through local `$ref`s.

    Args:
        schema: of an object or array that contains the place; its `$ref`s start with `#/`.
        place: keys and list positions.
    """
    found = list(_unfolded(schema, schema, ()))
    for part in place:
        found = [
            unfolded
            for above in found
            for below in (_of_key(above, part) if isinstance(part, str) else _of_item(above, part))
            for unfolded in _unfolded(below, schema, ())
        ]
    return found


def types_at(schema: Schema, place: Sequence[str | int]) -> set[str]:
    """The JSON types that the schema accepts at a place; empty when it does not restrict them."""
    types: set[str] = set()
    for part in applicable(schema, place):
        kind = part.get("type")
        if kind is not None:
            types.update([kind] if isinstance(kind, str) else kind)
        else:
            choices = [part["const"]] if "const" in part else part.get("enum", ())
            types.update(_NAMES[type(choice)] for choice in choices)
    return types


def is_secret(schema: Schema, place: Sequence[str | int]) -> bool:
    """Whether the schema marks the place, or a parent of it, with `writeOnly`."""
    return any(
        part.get("writeOnly") is True for length in range(len(place) + 1) for part in applicable(schema, place[:length])
    )


def _unfolded(schema: Any, root: Schema, above: tuple[int, ...]) -> Iterator[Schema]:
    if not isinstance(schema, Mapping) or id(schema) in above:
        return
    above = (*above, id(schema))
    yield schema
    for keyword in _ALL_OF:
        for branch in schema.get(keyword, ()):
            yield from _unfolded(branch, root, above)
    for keyword in _BRANCHES:
        yield from _unfolded(schema.get(keyword), root, above)
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        yield from _unfolded(pointed_at(root, reference[1:]), root, above)


def _of_key(schema: Schema, key: str) -> Iterator[Any]:
    properties = schema.get("properties", {})
    patterns = [item for pattern, item in schema.get("patternProperties", {}).items() if re.search(pattern, key)]
    if key in properties:
        yield properties[key]
    yield from patterns
    if key not in properties and not patterns:
        yield schema.get("additionalProperties")
        yield schema.get("unevaluatedProperties")


def _of_item(schema: Schema, index: int) -> Iterator[Any]:
    first = schema.get("prefixItems", ())
    yield first[index] if index < len(first) else schema.get("items")


def pointed_at(document: Any, pointer: str) -> Any:
    """The value that a JSON Pointer (RFC 6901) refers to; None when there is none."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, Mapping):
            document = document.get(name)
        elif isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            return None
    return document
