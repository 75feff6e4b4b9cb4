"""JSON Schema compiled once; every violation with its JSON Pointer. The only importer of jsonschema-rs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import jsonschema_rs

from streamer.core.errors import VALIDATION_ERROR, Error

MAX_VIOLATIONS: Final = 100
"""More are not listed: a payload of 100,000 wrong items must not make an answer of megabytes."""

MANY_VALUES: Final = 6_000
"""Of a larger payload only the first violation is told. The validator finds all of them before it shows one, and with
tens of thousands one message would hold everybody up for half a second."""

MAX_MESSAGE: Final = 400
"""Characters of one violation: it repeats the wrong value, which a client may make as large as a message may be."""


class SchemaError(ValueError):
    """A schema that does not compile."""


class Validator:
    """One compiled schema.

    Args:
        schema: a JSON Schema; 2020-12 unless its `$schema` says otherwise.
        resources: schemas that `$ref`s may name, by URI. Nothing is ever fetched.
        base_uri: what relative `$ref`s are relative to.

    Raises:
        SchemaError: it does not compile.
    """

    def __init__(self, schema: Any, resources: Mapping[str, Any] | None = None, base_uri: str | None = None) -> None:
        try:
            registry = jsonschema_rs.Registry([*(resources or {}).items()], draft=jsonschema_rs.Draft202012)
            validator = jsonschema_rs.validator_for(
                schema,
                registry=registry,
                base_uri=base_uri,
                validate_formats=True,
                ignore_unknown_formats=True,
                offline=True,
                pattern_options=jsonschema_rs.RegexOptions(),
            )
        except (ValueError, jsonschema_rs.ReferencingError) as problem:
            raise SchemaError(str(problem)) from None
        self.is_valid: Callable[[Any], bool] = validator.is_valid
        self._iter_errors = validator.iter_errors
        self._validate = validator.validate

    def check(self, value: Any, what: str = "payload") -> None:
        """Returns if the value is valid.

        Raises:
            Error: VALIDATION_ERROR with all violations (the first hundred; of a payload of more than `MANY_VALUES`
                values the first) in `details.errors`.
        """
        if not self.is_valid(value):
            raise self.error(value, what)

    def _first(self, value: Any) -> list[Any]:
        try:
            self._validate(value)
        except jsonschema_rs.ValidationError as problem:
            return [problem]
        return []

    def error(self, value: Any, what: str = "payload") -> Error:
        """The VALIDATION_ERROR of a value that is not valid."""
        large = _more_values_than(value, MANY_VALUES)
        errors = []
        for violation in self._first(value) if large else self._iter_errors(value):
            errors.append({"path": pointer(violation.instance_path), "message": _shortened(violation.message)})
            if len(errors) == MAX_VIOLATIONS:
                break
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        if large:
            more = " (it is too large to look for more)"
        where = first["path"] or f"the {what}"
        return Error(VALIDATION_ERROR, f"Invalid {what}: {where}: {first['message']}{more}", {"errors": errors})


def _more_values_than(value: Any, many: int) -> bool:
    """Whether arrays and objects hold more values than that, all levels together."""
    level = [value]
    found = 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        found += sum(map(len, level))
        if found > many:
            return True
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return False


def _shortened(message: str) -> str:
    """A violation names the value that it is about, which may be the whole payload, and the rule after it."""
    if len(message) <= MAX_MESSAGE:
        return message
    half = MAX_MESSAGE // 2
    return f"{message[:half]} … {message[-half:]}"


def pointer(path: list[str | int]) -> str:
    """RFC 6901 JSON Pointer of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
