"""The file's JSON Schema, its units, and the editor's version with the installed components merged in."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from streamer.contracts.components import Component, Kind

UNITS = ("duration", "size", "rate")


@cache
def file_schema() -> Mapping[str, Any]:
    """The schema of `streamer.yaml` without components. Do not change it."""
    text = resources.files("streamer.config").joinpath("streamer.schema.json").read_text(encoding="utf-8")
    return json.loads(text)  # type: ignore[no-any-return]  # our own file


def with_units(schema: Any) -> Any:
    """A component's option schema with `format: duration | size | rate` written out as the file's own definitions."""
    if isinstance(schema, list):
        return [with_units(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {key: with_units(value) for key, value in schema.items()}
    unit = made.get("format")
    if isinstance(unit, str) and unit in UNITS:
        del made["format"]
        definition = file_schema()["$defs"][unit]
        made = {**definition, **{key: value for key, value in made.items() if key != "type"}}
    return made


def editor_schema(components: Mapping[tuple[Kind, str], Component]) -> dict[str, Any]:
    """The file's schema with every component's name and options, so that an editor completes and checks them."""
    schema: dict[str, Any] = copy.deepcopy(dict(file_schema()))
    by_kind: dict[Kind, list[Component]] = {}
    for component in components.values():
        by_kind.setdefault(component.kind, []).append(component)
    properties = schema["properties"]
    _merge_uses(properties["middleware"]["items"], by_kind.get(Kind.MIDDLEWARE, []))
    _merge_uses(properties["backends"]["properties"]["store"], by_kind.get(Kind.STORE, []))
    _merge_uses(properties["backends"]["properties"]["connections"], by_kind.get(Kind.CONNECTIONS, []))
    _merge_uses(properties["auth"], by_kind.get(Kind.AUTH, []))
    action = properties["actions"]["additionalProperties"]
    handlers = by_kind.get(Kind.HANDLER, [])
    action["properties"]["handler"]["enum"] = [handler.full_name for handler in handlers]
    action["allOf"] = [
        {
            "if": {"properties": {"handler": {"const": handler.full_name}}, "required": ["handler"]},
            "then": {"properties": {"with": with_units(handler.options)}},
        }
        for handler in handlers
    ]
    return schema


def _merge_uses(place: dict[str, Any], components: list[Component]) -> None:
    names = [component.full_name for component in components]
    place["properties"]["use"]["enum"] = names
    place["if"] = {"type": "string"}
    place["then"] = {"enum": names}
    place["allOf"] = [
        {
            "if": {"type": "object", "properties": {"use": {"const": component.full_name}}, "required": ["use"]},
            "then": _with_use(component),
        }
        for component in components
    ]


def _with_use(component: Component) -> dict[str, Any]:
    options = dict(with_units(component.options))
    options["properties"] = {"use": True, **options.get("properties", {})}
    return options
