"""Finds every violation of a JSON Schema. Imported only for an invalid value: jsonschema takes long to load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema import validators as drafts
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from streamer.config.keywords import KEYWORDS, skips_pattern


def violations(value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    """Violations of a schema with our keywords, by the value."""
    return _CHECKER(schema).iter_errors(value)  # type: ignore[no-any-return]  # the stubs leave its types out


def violations_of_draft(schema: Any, draft: str) -> list[ValidationError]:
    """Violations of JSON Schema itself, by a schema.

    Args:
        schema: of a payload.
        draft: the name of its class in jsonschema.

    Raises:
        RecursionError: it is nested too deeply.
    """
    check = getattr(drafts, draft)
    return list(check(check.META_SCHEMA).iter_errors(schema))


def _of_keyword(find: Callable[[Any, str], str | None]) -> Callable[..., Iterator[ValidationError]]:
    def check(_validator: Any, wanted: Any, value: Any, _schema: Any) -> Iterator[ValidationError]:
        if isinstance(value, str) and (problem := find(wanted, value)) is not None:
            yield ValidationError(problem)

    return check


def _check_pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    if not skips_pattern(schema):
        yield from Draft202012Validator.VALIDATORS["pattern"](validator, pattern, value, schema)


_CHECKER: Final = extend(  # type: ignore[no-untyped-call]  # the stubs leave its types out
    Draft202012Validator,
    {**{name: _of_keyword(find) for name, find in KEYWORDS.items()}, "pattern": _check_pattern},
)
