"""What a component must be before it is registered: each check says what is wrong in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

from streamer.contracts.components import Component, Kind
from streamer.core.units import parse_duration
from streamer.plugins.hookspecs import KINDS

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_NAME_RULE: Final = "a letter, then letters, digits, '_' or '-', at most 64 in all"


def name_problem(name: object) -> str | None:
    """What is wrong with the name of a component or of an entry point; None when it is right.

    A dot is refused: it stands between the plugin's name and the component's.
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return None
    return f"the name {name!r} is not allowed: {_NAME_RULE}"


def returned_problems(hook: str, returned: object, *, schemas: bool = True) -> Iterator[str]:
    """What is wrong with what a hook returned.

    Args:
        hook: its name.
        returned: what it returned.
        schemas: whether they are checked against JSON Schema's own, which is most of the work.
    """
    if not isinstance(returned, list | tuple):
        what = "None" if returned is None else f"a {type(returned).__name__}"
        yield f"{hook} returned {what}; it must return a list of Component (an empty one for nothing)"
        return
    for position, item in enumerate(returned):
        if not isinstance(item, Component):
            yield f"{hook} returned a list whose item {position} is a {type(item).__name__}, not a Component"
        elif item.kind not in KINDS[hook]:
            allowed = " or ".join(sorted(KINDS[hook]))
            right = next(name for name, kinds in KINDS.items() if item.kind in kinds)
            yield f"{hook} returned {item.name!r} of kind {item.kind}; it may return {allowed}: use {right} for it"
        else:
            yield from (f"{item.kind} {item.name!r}: {problem}" for problem in _component_problems(item, schemas))


def _component_problems(component: Component, schemas: bool) -> Iterator[str]:
    wrong_name = name_problem(component.name)
    if wrong_name is not None:
        yield wrong_name
    factory: object = component.factory
    if not callable(factory):
        yield f"its factory is a {type(factory).__name__}, not a callable of options and context"
    for what in ("check", "check_machine", "operator", "provision"):
        given: object = getattr(component, what)
        if given is not None and not callable(given):
            yield f"its {what} is a {type(given).__name__}, not a callable of options and context"
    if component.kind is Kind.COMMAND and not component.prefixed:
        yield "a command has its plugin's prefix; leave prefixed out"
    if schemas:
        yield from _schema_problems("options", component.options)
        for what, schema in (("schema", component.schema), ("result_schema", component.result_schema)):
            if schema is not None:
                yield from _schema_problems(what, schema)
    if component.estimated_duration is not None:
        try:
            parse_duration(component.estimated_duration)
        except (ValueError, TypeError) as error:
            yield f"its estimated_duration is wrong: {error}"


def _schema_problems(what: str, schema: Any) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"its {what} is a {type(schema).__name__}, not a JSON Schema in a dict"
        return
    try:
        # Options are always 2020-12; a payload's schema may say otherwise by `$schema`.
        dialect = Draft202012Validator if what == "options" else validator_for(schema, default=Draft202012Validator)
        dialect.check_schema(schema)
    except SchemaError as error:
        yield f"its {what} is not a valid JSON Schema: at {error.json_path}: {error.message}"
    else:
        if what == "options" and schema.get("type") != "object":
            yield "its options schema must have type: object, for options are an object"
