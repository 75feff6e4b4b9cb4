"""The file against its schema, and options against their components' schemas: every violation as a problem."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator

from streamer.config.document import Document, Path_
from streamer.core.units import parse_duration, parse_rate, parse_size

_UNITS: Final[Mapping[str, Callable[[str], Any]]] = {
    "duration": parse_duration,
    "size": parse_size,
    "rate": parse_rate,
}
_EXAMPLES: Final = {"duration": "5s", "size": "128KiB", "rate": "100/1m"}
_NAMES: Final = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "object": "a mapping",
    "array": "a list",
    "null": "nothing",
}


def suggest(word: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def check(document: Document, value: Any, schema: Mapping[str, Any], path: Path_, root: Mapping[str, Any]) -> None:
    """Notes every violation of the schema by the value at that path.

    Args:
        document: gets the problems.
        value: what stands at the path.
        schema: what it must be.
        path: where the value stands in the file.
        root: where `#/$defs` of the schema are.
    """
    validator = Draft202012Validator({**schema, "$defs": root.get("$defs", {})})
    for error in sorted(validator.iter_errors(value), key=lambda error: [str(part) for part in error.absolute_path]):
        _note(document, error, (*path, *error.absolute_path))


def _note(document: Document, error: Any, path: Path_) -> None:
    kind = error.validator
    unit = error.schema.get("x-unit") if isinstance(error.schema, Mapping) else None
    match kind:
        case "additionalProperties":
            _unknown_keys(document, error, path)
        case "required":
            for name in error.validator_value:
                if name not in error.instance:
                    document.problem("missing-key", path, f"the key {name!r} is missing{_purpose(error.schema, name)}")
        case "type" if (
            unit is not None and isinstance(error.instance, int | float) and not isinstance(error.instance, bool)
        ):
            example = _EXAMPLES[unit]
            document.problem(f"bad-{unit}", path, f"{error.instance} has no unit; write a {unit} such as {example}")
        case "type":
            wanted = error.validator_value
            names = [_NAMES[name] for name in ([wanted] if isinstance(wanted, str) else wanted)]
            document.problem("wrong-type", path, f"must be {' or '.join(names)}, not {shown(error.instance)}")
        case "pattern" if unit is not None:
            document.problem(f"bad-{unit}", path, _unit_sentence(unit, error.instance))
        case "enum" | "const":
            _choice(document, error, path)
        case "anyOf" | "oneOf" if error.context:
            best = max(error.context, key=lambda one: len(one.absolute_path))
            _note(document, best, (*path, *list(best.absolute_path)[len(error.absolute_path) :]))
        case _:
            document.problem("bad-value", path, _sentence(error))


def _unknown_keys(document: Document, error: Any, path: Path_) -> None:
    known = error.schema.get("properties", {})
    for name in error.instance:
        if name not in known:
            allowed = f"; there are: {', '.join(known)}" if known else "; nothing is taken here"
            hint = suggest(name, known) or allowed
            document.problem("unknown-key", (*path, name), f"{name!r} means nothing here{hint}", key=True)


def _choice(document: Document, error: Any, path: Path_) -> None:
    choices = [error.validator_value] if error.validator == "const" else error.validator_value
    listed = ", ".join(str(choice) for choice in choices)
    hint = (
        suggest(error.instance, [one for one in choices if isinstance(one, str)])
        if isinstance(error.instance, str)
        else ""
    )
    document.problem(
        "bad-value", path, f"must be {'one of ' if len(choices) > 1 else ''}{listed}, not {shown(error.instance)}{hint}"
    )


def _sentence(error: Any) -> str:
    limit = error.validator_value
    match error.validator:
        case "minimum" | "exclusiveMinimum":
            return f"must be {'at least' if error.validator == 'minimum' else 'above'} {limit}, not {error.instance}"
        case "maximum" | "exclusiveMaximum":
            return f"must be {'at most' if error.validator == 'maximum' else 'below'} {limit}, not {error.instance}"
        case "minLength" | "minItems" | "minProperties":
            return "must not be empty" if limit == 1 else f"must have at least {limit} entries"
        case "maxLength" | "maxItems" | "maxProperties":
            return f"must not be longer than {limit}"
        case "pattern":
            return f"{shown(error.instance)} does not have the form {limit}"
        case _:
            return str(error.message)


def _purpose(schema: Any, name: str) -> str:
    description = schema.get("properties", {}).get(name, {})
    text = description.get("description", "") if isinstance(description, Mapping) else ""
    return f": {text[0].lower()}{text[1:]}" if text else ""


def _unit_sentence(unit: str, text: str) -> str:
    try:
        _UNITS[unit](text)
    except ValueError as problem:
        return str(problem)
    return f"{text!r} is not a {unit}"


def shown(value: Any) -> str:
    """A value as messages show it."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if len(repr(value)) <= 60 else repr(value)[:57] + "…"  # noqa: PLR2004 - what fits in a line
