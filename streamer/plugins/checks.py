"""Checks components before they are registered. Each check describes a problem on one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import jsonschema_rs

from streamer.contracts.components import Component, Kind
from streamer.core.units import parse_duration
from streamer.plugins.hookspecs import KINDS

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)
_NAME_RULE: Final = "a letter, then letters, digits, '_' or '-', at most 64 in all"
_DRAFT_2020: Final = "https://json-schema.org/draft/2020-12/schema"
_DRAFTS: Final[dict[str, Any]] = {
    _DRAFT_2020: jsonschema_rs.Draft202012Validator,
    "https://json-schema.org/draft/2019-09/schema": jsonschema_rs.Draft201909Validator,
    "http://json-schema.org/draft-07/schema#": jsonschema_rs.Draft7Validator,
}
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})


def name_problem(name: object) -> str | None:
    """The problem with the name of a component or of an entry point; None when it is valid.

    A dot is refused, because it separates the plugin's name from the component's.
    """
    if isinstance(name, str) and _NAME.fullmatch(name):
        return None
    return f"the name {name!r} is not allowed: use {_NAME_RULE}"


def returned_problems(hook: str, returned: object, *, schemas: bool = True) -> Iterator[str]:
    """The problem with the return value of a hook.

    Args:
        hook: its name.
        returned: the return value.
        schemas: whether to check schemas against JSON Schema's own, which takes most of the time.
    """
    if not isinstance(returned, list | tuple):
        what = "None" if returned is None else f"a {type(returned).__name__}"
        yield f"{hook} returned {what}; it must return a list of Component (an empty list for none)"
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
        yield "a command always has its plugin's prefix; remove prefixed"
    if schemas:
        yield from _schema_problems("options", component.options)
        for what, schema in (("schema", component.schema), ("result_schema", component.result_schema)):
            if schema is not None:
                yield from _schema_problems(what, schema)
    if component.estimated_duration is not None:
        try:
            parse_duration(component.estimated_duration)
        except (ValueError, TypeError) as error:
            yield f"its estimated_duration is invalid: {error}"


def _schema_problems(what: str, schema: Any) -> Iterator[str]:
    if not isinstance(schema, dict):
        yield f"its {what} is a {type(schema).__name__}, not a JSON Schema in a dict"
        return
    # Options always use 2020-12; the schema of a payload may choose another draft with `$schema`.
    said = _DRAFT_2020 if what == "options" else schema.get("$schema")
    draft = said if isinstance(said, str) else _DRAFT_2020
    wrong = None if _is_certainly_valid(schema, draft) else _what_is_wrong(schema, draft)
    if wrong is not None:
        yield f"its {what} is not a valid JSON Schema: {wrong}"
    elif what == "options" and schema.get("type") != "object":
        yield "its options schema must have type: object, because options are an object"


def _is_certainly_valid(schema: Any, draft: str) -> bool:
    """Whether the schema is certainly valid. Otherwise it is invalid, or only jsonschema can decide."""
    try:
        return draft in _DRAFTS and _is_json(schema) and _schema_of_schemas(draft).is_valid(schema)
    except (ValueError, RecursionError):
        return False


@cache
def _schema_of_schemas(draft: str) -> Any:
    return _DRAFTS[draft]({"$ref": draft}, formats={"regex": _is_regex}, validate_formats=True)


def _is_regex(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _is_json(value: object) -> bool:
    """Whether the value consists of JSON types only: a tuple, for example, is no array in a schema."""
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(_is_json, value.values()))
    return all(map(_is_json, value)) if type(value) is list else type(value) in _SCALARS


def _what_is_wrong(schema: Any, draft: str) -> str | None:
    """The most serious violation, in the words of jsonschema; None when there is none."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - a fifth of a start, for nothing where all is well
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415 - as above
    from jsonschema.validators import validator_for  # noqa: PLC0415 - as above

    try:
        validator_for({"$schema": draft}, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        return f"at {error.json_path}: {error.message}"
    except RecursionError:
        return "it is nested too deeply"
    return None
