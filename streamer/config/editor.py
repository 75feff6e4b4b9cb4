"""The file's JSON Schema for editors, with the options of the installed components merged in."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from streamer.config.shape import file_schema, with_units
from streamer.config.subschemas import children
from streamer.contracts.components import Component, Kind

_USES: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.STORE: ("backends", "properties", "store"),
    Kind.CONNECTIONS: ("backends", "properties", "connections"),
    Kind.AUTH: ("auth",),
    Kind.MIDDLEWARE: ("middleware", "items"),
}
_VARIABLE: Final = {"type": "string", "pattern": r"\$\{"}
_LITERAL: Final = frozenset({"enum", "const", "default", "examples"})
_FILLED: Final = frozenset({"integer", "number", "boolean"})
_FOR_PEOPLE: Final = ("description", "default", "examples", "deprecated")
_CONDITIONS: Final = frozenset({"if", "not", "propertyNames"})
"""Subschemas of these keywords must not change: accepting more would alter their meaning, or they apply to keys."""


def editor_schema(components: Iterable[Component] | Mapping[Any, Component]) -> dict[str, Any]:
    """The file's schema with every component's name and options, so that an editor completes and checks them.

    Where a number, a boolean, an enumerated string or a string with a format is required, a string with `${` is
    accepted too: the environment fills it.

    Args:
        components: all installed components, or a mapping whose values they are.
    """
    every = components.values() if isinstance(components, Mapping) else components
    by_kind: dict[Kind, list[Component]] = {}
    for component in every:
        by_kind.setdefault(component.kind, []).append(component)
    schema = copy.deepcopy(file_schema())
    for kind, way in _USES.items():
        place = schema["properties"]
        for part in way:
            place = place[part]
        _merge_uses(place, by_kind.get(kind, []), schema["$defs"])
    _merge_handlers(
        schema["properties"]["actions"]["additionalProperties"], by_kind.get(Kind.HANDLER, []), schema["$defs"]
    )
    return _with_variables(schema)


def _merge_uses(place: dict[str, Any], components: list[Component], definitions: dict[str, Any]) -> None:
    place["properties"]["use"] |= _names(components)
    place["if"] = {"type": "string"}
    place["then"] = _names(components)
    place["allOf"] = [
        {
            "if": {"type": "object", "properties": {"use": {"const": component.full_name}}, "required": ["use"]},
            "then": _define(component, definitions, with_use=True),
        }
        for component in components
    ]


def _merge_handlers(action: dict[str, Any], components: list[Component], definitions: dict[str, Any]) -> None:
    action["properties"]["handler"] |= _names(components)
    action["allOf"] = [
        {
            "if": {"properties": {"handler": {"const": component.full_name}}, "required": ["handler"]},
            "then": {
                "properties": {"with": _define(component, definitions, with_use=False)},
                **({"required": ["with"]} if component.options.get("required") else {}),
            },
        }
        for component in components
    ]


def _names(components: list[Component]) -> dict[str, Any]:
    return {
        "enum": [component.full_name for component in components],
        # Editors that support it show one description per choice.
        "markdownEnumDescriptions": [component.summary for component in components],
    }


def _define(component: Component, definitions: dict[str, Any], *, with_use: bool) -> dict[str, Any]:
    """Adds the options to the definitions, and returns a reference to them."""
    name = f"{component.kind}-{component.full_name}"
    here = f"#/$defs/{name}"
    options = _moved(with_units(component.options), lambda reference: here + reference.removeprefix("#"))
    if with_use:
        options["properties"] = {"use": True, **options.get("properties", {})}
    definitions[name] = {"description": component.summary, **options}
    return {"$ref": here}


def _moved(schema: Any, move: Callable[[str], str]) -> Any:
    """The schema with its local references adjusted to its new place."""
    if isinstance(schema, list):
        return [_moved(item, move) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    return {
        key: move(value)
        if key == "$ref" and isinstance(value, str) and value.startswith("#")
        else value
        if key in _LITERAL
        else _moved(value, move)
        for key, value in schema.items()
    }


def _with_variables(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema, changed in place, so that it accepts `${…}` where it would refuse the string only because of its
    form.
    """
    for place, below in children(schema):
        if place[0] not in _CONDITIONS and isinstance(below, dict):
            holder: Any = schema if len(place) == 1 else schema[str(place[0])]
            holder[place[-1]] = _with_variables(below)
    if not _is_too_narrow(schema):
        return schema
    texts: tuple[str, ...] = ("description", "default", "examples", "deprecated")
    outside = {key: schema.pop(key) for key in texts if key in schema}
    return {**outside, "anyOf": [schema, _VARIABLE]}


def _is_too_narrow(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type", ())
    kinds = {kind} if isinstance(kind, str) else {*kind}
    if "enum" in schema:
        # Component names are listed, so that editors complete them and their options.
        return "markdownEnumDescriptions" not in schema
    if "string" in kinds:
        return r"\$\{" not in schema.get("pattern", r"\$\{") or "format" in schema or "maxLength" in schema
    return bool(kinds & _FILLED)
