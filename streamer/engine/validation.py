"""Compiles JSON Schemas once, and lists violations with JSON Pointers, in bounded time. The only importer of
jsonschema-rs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final

import jsonschema_rs

from streamer.core.errors import VALIDATION_ERROR, Error
from streamer.engine.schema_cost import MAX_LOOKS, EndlessReference, cost_of
from streamer.engine.schema_graph import Graph, Node
from streamer.engine.schema_patterns import has_counts_within_counts, slow_pattern
from streamer.engine.schema_search import Search
from streamer.engine.schema_violations import Leaf, Path

MAX_VIOLATIONS: Final = 100
"""More are not listed: a payload of 100,000 invalid items must not cause an answer of megabytes."""

MANY_VALUES: Final = 6_000
"""Of a larger payload only the first violation is listed."""

MAX_MESSAGE: Final = 400
"""Maximum characters of one violation: it repeats the invalid value, which may be as large as a message."""

MAX_LISTED: Final = 1_000
"""Errors that the library may create before it returns one. With more, they are searched for one at a time, by
`Search`: a list of a thousand takes some five milliseconds, which block the loop.
"""

_OPTIONS: Final[dict[str, Any]] = {
    "validate_formats": True,
    "ignore_unknown_formats": True,
    "offline": True,
    # With the default of 2 MB, long strings make large patterns a hundred times slower.
    "pattern_options": jsonschema_rs.RegexOptions(dfa_size_limit=8 * 2**20),
}
_UNNAMED: Final = {"path": "", "message": "it does not match the schema; finding the place would take too long"}


class SchemaError(ValueError):
    """A schema that does not compile, or that could not be used in bounded time."""


class Validator:
    """One compiled schema.

    Args:
        schema: a JSON Schema; 2020-12 unless its `$schema` says otherwise.
        resources: the targets of `$ref`s, by URI. Nothing is ever downloaded.
        base_uri: the base of relative `$ref`s.
        bounded: whether to refuse a value that could take long to validate. Payloads come from strangers; results do
            not.

    Attributes:
        is_valid: whether a value is valid.

    Raises:
        SchemaError: it does not compile, it refers to itself at one value, its references multiply, or one of its
            patterns is slow for long strings.
    """

    def __init__(
        self,
        schema: Any,
        resources: Mapping[str, Any] | None = None,
        base_uri: str | None = None,
        *,
        bounded: bool = True,
    ) -> None:
        resources = resources or {}
        try:
            registry = jsonschema_rs.Registry([*resources.items()], draft=jsonschema_rs.Draft202012)
            validator = jsonschema_rs.validator_for(schema, registry=registry, base_uri=base_uri, **_OPTIONS)
        except (ValueError, jsonschema_rs.ReferencingError) as problem:
            raise SchemaError(str(problem)) from None
        self._is_valid: Callable[[Any], bool] = validator.is_valid
        self._iter_errors = validator.iter_errors
        self._validate = validator.validate
        graph = Graph(schema, resources, base_uri)
        try:
            self._cost = cost_of(graph)
        except EndlessReference as problem:
            raise SchemaError(str(problem)) from None
        if self._cost.validate > MAX_LOOKS:
            raise SchemaError(
                "a value could be checked more than 100,000 times, because references to the same subschema multiply; "
                "refer to it from fewer of the alternatives"
            )
        for leaf in (one.leaf for node in graph.nodes for one in (node, *node.matchers.values())):
            if slow := slow_pattern(leaf, _compiled):
                raise SchemaError(slow)
        # The library would also use these on strings that are longer than their maxLength.
        self._has_slow = any("maxLength" in node.leaf and has_counts_within_counts(node.leaf) for node in graph.nodes)
        self._most_values = self._cost.most_values if bounded else None
        self.is_valid = self._is_valid if self._most_values is None else self._is_small_and_valid
        self._root = graph.root
        self._marks = any(node.looks_again for node in graph.nodes)
        self._has_names = any(node.names is not None for node in graph.nodes)
        self._leaves: dict[Node, Leaf | None] = {}

    @property
    def lists_errors(self) -> bool:
        """Whether all errors of a small payload can be listed; otherwise those of the best matching alternative."""
        return self._cost.list_errors <= MAX_LISTED

    def _is_small_and_valid(self, value: Any) -> bool:
        return not self._is_too_large(value) and self._is_valid(value)

    def _is_too_large(self, value: Any) -> bool:
        return self._most_values is not None and _more_values_than(value, self._most_values)

    def check(self, value: Any, what: str = "payload") -> None:
        """Returns if the value is valid.

        Raises:
            Error: VALIDATION_ERROR with all violations in `details.errors` (the first hundred; the first one of a
                payload of more than `MANY_VALUES` values; those found by bounded work if the schema's alternatives
                multiply).
        """
        if not self.is_valid(value):
            raise self.error(value, what)

    def error(self, value: Any, what: str = "payload") -> Error:
        """The VALIDATION_ERROR of an invalid value. It takes milliseconds, whatever the value and schema."""
        if self._is_too_large(value):
            message = (
                f"it contains more than {self._most_values:,} values, the limit of this schema for one "
                "request; send fewer values per request"
            )
            errors = [{"path": "", "message": message}]
            return Error(VALIDATION_ERROR, f"Invalid {what}: the {what}: {message}", {"errors": errors})
        large = _more_values_than(value, MANY_VALUES)
        violations, more = self._violations(value, large=large)
        errors = [{"path": pointer([*path]), "message": _shortened(message)} for path, message in violations] or [
            dict(_UNNAMED)
        ]
        first = errors[0]
        note = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        if large:
            note = " (it is too large to search for more)"
        elif more:
            note = f" (and {len(errors) - 1} more, possibly others)" if len(errors) > 1 else " (there may be more)"
        where = first["path"] or f"the {what}"
        return Error(VALIDATION_ERROR, f"Invalid {what}: {where}: {first['message']}{note}", {"errors": errors})

    def _violations(self, value: Any, *, large: bool) -> tuple[list[tuple[Path, str]], bool]:
        """The errors, and whether there may be more."""
        if not large and self._is_listed(value):
            listed = islice(self._iter_errors(value), MAX_VIOLATIONS)
            return [(tuple(one.instance_path), one.message) for one in listed], False
        limit = 1 if large else MAX_VIOLATIONS
        found, is_all = Search(self._leaf, limit=limit, marks=self._marks).run(self._root, value)
        if not found and self._cost.simple and self.lists_errors and not self._has_slow:
            # Without alternatives the library stops at the first error.
            try:
                self._validate(value)
            except jsonschema_rs.ValidationError as problem:
                return [(tuple(problem.instance_path), problem.message)], True
        return found, not is_all

    def _is_listed(self, value: Any) -> bool:
        """Whether the library lists all errors of the value fast enough."""
        if self._has_slow or not self.lists_errors:
            return False
        most = MAX_LISTED // self._cost.list_errors
        return _work(value, most, names=self._has_names) <= most

    def _leaf(self, node: Node) -> Leaf | None:
        if node not in self._leaves:
            self._leaves[node] = _Leaf(node) if node.leaf else None
        return self._leaves[node]


class _Leaf:
    """A `Leaf` with the library. It creates no error for a large value, which the library would copy."""

    def __init__(self, node: Node) -> None:
        self._draft = {} if node.draft is None else {"$schema": node.draft}
        self._keywords = node.leaf
        self._whole = self._compile(node.leaf)
        self._single: dict[str, Any] = {}
        self._longest = self._keywords.get("maxLength") if has_counts_within_counts(node.leaf) else None
        self.is_valid: Callable[[Any], bool] = self._whole.is_valid

    def _compile(self, keywords: Mapping[str, Any]) -> Any:
        return _compiled({**self._draft, **keywords})

    def failing(self, value: Any, /) -> list[str]:
        if self._is_too_long(value):
            return ["maxLength"]
        if len(self._keywords) == 1:
            return [*self._keywords]
        if not self._single:
            self._single = {name: self._compile({name: limit}) for name, limit in self._keywords.items()}
        return [name for name, one in self._single.items() if not one.is_valid(value)]

    def messages(self, value: Any, keyword: str, /) -> list[str]:
        if self._is_too_long(value):
            return [self.message(value, keyword)]
        found = islice(self._whole.iter_errors(value), MAX_VIOLATIONS)
        return [one.message for one in found if one.schema_path[-1] == keyword or keyword not in one.schema_path]

    def _is_too_long(self, value: Any) -> bool:
        """Whether it is a string that a slow pattern must not be used on."""
        return self._longest is not None and isinstance(value, str) and len(value) > self._longest

    def message(self, value: Any, keyword: str, /) -> str:
        if keyword == "required":
            missing = next(name for name in self._keywords[keyword] if name not in value)
            return f'"{missing}" is a required property'
        what = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else "text"
        return f"this {what} violates {keyword!r}: {json.dumps(self._keywords[keyword], ensure_ascii=False)}"


def _compiled(keywords: Mapping[str, Any]) -> Any:
    return jsonschema_rs.validator_for(dict(keywords), **_OPTIONS)


def _work(value: Any, most: int, *, names: bool) -> int:
    """The cost of each check of a payload's values for listing errors, in errors about small values; counted up to
    `most`.

    An error repeats its value, so a string counts for each object and array around it.
    """
    work = 0.0
    level, depth = [value], 1
    while level and work <= most:
        below: list[Any] = []
        for item in level:
            work += 1
            if isinstance(item, str):
                work += depth * len(item) / 256
            elif isinstance(item, dict):
                work += depth * sum(map(len, item)) / 256 + (len(item) ** 2 / 16 if names else 0)
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
            if work + len(below) > most:
                return most + 1
        level, depth = below, depth + 1
    return int(work)


def _more_values_than(value: Any, many: int) -> bool:
    """Whether arrays and objects contain more values than that, on all levels together."""
    level = [value]
    found = 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        found += sum(map(len, level))
        if found > many:
            return True
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return False


def _shortened(message: str) -> str:
    """A violation contains its value, which may be the whole payload, and then the rule."""
    if len(message) <= MAX_MESSAGE:
        return message
    half = MAX_MESSAGE // 2
    return f"{message[:half]} … {message[-half:]}"


def pointer(path: list[str | int]) -> str:
    """RFC 6901 JSON Pointer of a path."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)
