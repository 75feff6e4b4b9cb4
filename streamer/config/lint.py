"""Checks a part of the file against a JSON Schema and reports every violation as a problem with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from streamer.config.applicable import is_secret
from streamer.config.document import Document, Place
from streamer.config.keywords import fits
from streamer.config.sentences import choice_sentence, shown, suggest, type_sentence, value_sentence

_SUFFIXES: Final = {"duration": ("s", "ms"), "size": ("B", "KiB"), "rate": ("/1s", "/1m")}


def check(document: Document, value: Any, schema: Mapping[str, Any], place: Place) -> None:
    """Adds every violation of the schema by the value at a place. Secret values and values filled from the environment
    are not shown.

    Args:
        document: gets the problems.
        value: the value at the place.
        schema: its schema.
        place: its place in the file.
    """
    if fits(value, schema):
        return
    from streamer.config.violations import violations  # noqa: PLC0415 - a fifth of a start, for nothing where all is well

    for error in violations(value, schema):
        for leaf in leaves(error):
            _note(document, leaf, place, schema)


def leaves(error: Any) -> list[Any]:
    """The violations that a person must fix. For `anyOf` and `oneOf`, those of the alternative that was probably meant.

    That is the alternative that matches deepest into the value. Where all alternatives fail at the value itself because
    of its type, the error of the `anyOf` or `oneOf` is kept, since it can name all types.
    """
    if error.validator not in ("anyOf", "oneOf") or not error.context:
        return [error]
    alternatives: dict[Any, list[Any]] = {}
    for inner in error.context:
        alternatives.setdefault(inner.schema_path[0], []).append(inner)
    fitting = [inners for inners in alternatives.values() if not _is_of_other_type(inners, error)]
    if not fitting:
        return [error]
    best = max(fitting, key=lambda inners: (max(len(inner.absolute_path) for inner in inners), -len(inners)))
    return [leaf for inner in best for leaf in leaves(inner)]


def _is_of_other_type(inners: list[Any], error: Any) -> bool:
    return any(inner.validator == "type" and inner.absolute_path == error.absolute_path for inner in inners)


def alternative_types(error: Any) -> list[str]:
    """The types that the alternatives of an `anyOf` or `oneOf` accept, in their order."""
    types: dict[str, None] = {}
    for inner in error.context:
        if inner.validator == "type":
            wanted = inner.validator_value
            types.update(dict.fromkeys([wanted] if isinstance(wanted, str) else wanted))
    return list(types)


def _note(document: Document, error: Any, base: Place, schema: Mapping[str, Any]) -> None:
    inside = tuple(error.absolute_path)
    place = (*base, *inside)
    if document.is_broken(place):
        return
    if error.validator == "additionalProperties" and error.validator_value is False:
        _unknown_keys(document, error, place)
    elif error.validator == "required":
        _missing_key(document, error, place)
    else:
        hidden = place in document.filled or is_secret(schema, inside)
        code, message = describe(error, hidden=hidden)
        message += document.source(place)
        if "propertyNames" in error.absolute_schema_path:
            document.problem(code, (*place, error.instance), message, key=True, within=place)
        else:
            document.problem(code, place, message)


def describe(error: Any, *, hidden: bool = False) -> tuple[str, str]:
    """Code and message of a violation.

    Args:
        error: of jsonschema.
        hidden: whether the value is a secret.
    """
    keyword, limit, value = error.validator, error.validator_value, error.instance
    unit = error.schema.get("x-unit") if isinstance(error.schema, Mapping) else None
    if keyword == "type" and unit is not None and isinstance(value, int | float) and not isinstance(value, bool):
        what = shown(value, hidden=hidden)
        examples = " or ".join(what + suffix for suffix in _SUFFIXES[unit])
        return f"bad-{unit}", f"{what} has no unit; add one, as in {examples}"
    match keyword:
        case "type":
            return "wrong-type", type_sentence(limit, value, hidden=hidden)
        case "anyOf" | "oneOf" if error.context:
            return "wrong-type", type_sentence(alternative_types(error), value, hidden=hidden)
        case "x-unit":
            return f"bad-{limit}", f"this is not a {limit}" if hidden else error.message
        case "x-network" if hidden:
            return "bad-value", "this is not a network or an IP address"
        case "x-above-zero" | "x-network":
            return "bad-value", error.message
        case None:
            # The schema `false`.
            return "bad-value", value_sentence("not", limit, value, hidden=hidden)
        case "enum":
            return "bad-value", choice_sentence(limit, value, hidden=hidden)
        case "const":
            return "bad-value", choice_sentence([limit], value, hidden=hidden)
        case _:
            return "bad-value", value_sentence(str(keyword), limit, value, hidden=hidden)


def _unknown_keys(document: Document, error: Any, place: Place) -> None:
    known = error.schema.get("properties", {})
    patterns = error.schema.get("patternProperties", {})
    for name in error.instance:
        if name not in known and not any(re.search(pattern, name) for pattern in patterns):
            hint = _nearest(name, known, error.instance)
            if not hint:
                hint = suggest(name, known, otherwise=True)
                hint += "; write a handler's own options below 'with'" if "handler" in known else ""
            document.problem("unknown-key", (*place, name), f"{name!r}{hint}", key=True, within=place)


def _nearest(name: str, known: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """The known key that was probably meant, preferably one that is not set yet."""
    return suggest(name, [key for key in known if key not in given]) or suggest(name, known)


def _missing_key(document: Document, error: Any, place: Place) -> None:
    properties = error.schema.get("properties", {})
    # jsonschema reports each missing key as a separate error, and names it only in the message.
    name = next(name for name in error.validator_value if error.message == f"{name!r} is a required property")
    if error.schema.get("additionalProperties") is False:
        # A misspelt key is already reported as unknown, with this one as the suggestion.
        unknown = [key for key in error.instance if key not in properties]
        if any(_nearest(key, properties, error.instance) == suggest(name, [name]) for key in unknown):
            return
    described = properties.get(name, {})
    text = described.get("description", "") if isinstance(described, Mapping) else ""
    purpose = f": {text[0].lower()}{text[1:]}" if text else ""
    document.problem("missing-key", place, f"{name!r} is missing{purpose}", key=True)
