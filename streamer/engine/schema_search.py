"""Finds the errors of a value with bounded work for every schema: each subschema checks each value once.

The library's validator lists errors quickly for most schemas, but its work is unbounded if alternatives meet in a
recursive schema. Here results are cached, and only the best matching alternative is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from streamer.engine.schema_graph import Node
from streamer.engine.schema_violations import LARGE, Found, Leaf, Path, Violation, best, shown

MAX_STEPS: Final = 2_000
"""Maximum steps of one search: some five milliseconds."""
MAX_SECONDS: Final = 0.05
"""Maximum processor time of one search, in case its steps are slower than expected."""


class Stopped(Exception):
    """The maximum work of a search is used up."""


class Search:
    """One search in one value.

    Args:
        leaf: creates the validator of a node's own keywords; called once for each node that is used.
        limit: the number of violations to find.
        marks: whether any node depends on which properties and items others have evaluated.
        steps: maximum checks, and their additional cost for large values.
        seconds: maximum time of `clock`.
        clock: the processor time of this thread.

    Attributes:
        taken: steps so far.
    """

    def __init__(
        self,
        leaf: Callable[[Node], Leaf | None],
        *,
        limit: int,
        marks: bool = True,
        steps: int = MAX_STEPS,
        seconds: float = MAX_SECONDS,
        clock: Callable[[], float] = time.thread_time,
    ) -> None:
        self._leaf = leaf
        self._limit = limit
        self._marks = marks
        self._steps = steps
        self._clock = clock
        self._end = clock() + seconds
        self._checked = 0
        self._known: dict[tuple[int, int], Found] = {}
        self._certain: list[Violation] = []
        self._path: list[str | int] = []
        self._guessing = 0
        self.taken = 0

    def run(self, root: Node, value: Any) -> tuple[list[tuple[Path, str]], bool]:
        """The violations, each with its place, and whether these are all."""
        try:
            found, is_all = self._look(root, value).violations, True
        except (Stopped, RecursionError):
            found, is_all = self._certain, False
        messages = [(one.path, text) for one in found[: self._limit] for text in one.texts()]
        return messages[: self._limit], is_all

    def _spend(self, steps: int) -> None:
        self.taken += steps
        if self.taken > self._steps:
            raise Stopped
        if self.taken - self._checked > 50:  # noqa: PLR2004 - the clock costs as much as a step
            self._checked = self.taken
            if self._clock() > self._end:
                raise Stopped

    def _look(self, node: Node, value: Any) -> Found:
        self._spend(2)
        while node.through is not None:
            node = node.through
        container = isinstance(value, dict | list)
        key = (id(node), id(value))
        if container:
            known = self._known.get(key)
            if known is not None:
                return known
        found = Found([], set(), set()) if self._marks else Found([], None, None)
        if node.schema is False:
            self._add(found, Violation((), "false", f"False schema does not allow {shown(value)}"))
        else:
            if node.leaf:
                self._own(node, value, found)
            if node.is_shared:
                self._at_the_same_place(node, value, found)
            if isinstance(value, dict):
                self._in_object(node, value, found)
            elif isinstance(value, list):
                self._in_array(node, value, found)
        if container:
            self._known[key] = found
        return found

    def _add(self, found: Found, *violations: Violation) -> None:
        """Violations that are certain: unless they belong to an alternative, they hold whatever else is found."""
        found.add(violations)
        if not self._guessing:
            self._certain.extend(one._replace(path=(*self._path, *one.path)) for one in violations)
            if len(self._certain) >= self._limit:
                raise Stopped

    def _own(self, node: Node, value: Any, found: Found) -> None:
        leaf = self._leaf(node)
        if isinstance(value, str | dict | list) and len(value) > LARGE:
            self._spend(len(value) // LARGE)
        if leaf is not None and not leaf.is_valid(value):
            keywords = leaf.failing(value)
            self._spend(len(keywords))
            self._add(found, *(Violation((), keyword, leaf=leaf, value=value) for keyword in keywords))

    def _inside(self, node: Node, value: Any, key: str | int, found: Found) -> None:
        """Checks a value one level below."""
        while node.through is not None:
            node = node.through
        if node.is_leaf:
            # Most values are leaves: no caching, and no deeper recursion.
            self._spend(1)
            leaf = self._leaf(node)
            if leaf is None or leaf.is_valid(value):
                return
        self._path.append(key)
        inner = self._look(node, value).violations
        self._path.pop()
        if inner and len(found.violations) < self._limit:
            self._spend(len(inner) // 4)
            found.add([violation._replace(path=(key, *violation.path)) for violation in inner])

    def _tried(self, node: Node, value: Any, key: str | int | None = None) -> Found:
        """Checks a value without making its violations those of the whole."""
        self._guessing += 1
        if key is not None:
            self._path.append(key)
        found = self._look(node, value)
        if key is not None:
            self._path.pop()
        self._guessing -= 1
        return found

    def _at_the_same_place(self, node: Node, value: Any, found: Found) -> None:
        for inner in node.all_of:
            # Its violations are certain if this node's are.
            self._merge(found, self._look(inner, value), required=True)
        self._alternatives(node, value, found)
        if node.excluded is not None and not self._tried(node.excluded, value).violations:
            self._add(found, Violation((), "not", f"{shown(value)} is excluded by the keyword 'not'"))
        if node.condition is not None:
            condition = self._tried(node.condition, value)
            self._merge(found, condition)
            then = node.alternative if condition.violations else node.consequence
            if then is not None:
                self._merge(found, self._look(then, value), required=True)
        for name, inner in node.dependent.items() if isinstance(value, dict) else ():
            if name in value:
                self._merge(found, self._look(inner, value), required=True)

    def _alternatives(self, node: Node, value: Any, found: Found) -> None:
        if node.any_of:
            results = [self._tried(inner, value) for inner in node.any_of]
            for result in results:
                self._merge(found, result)
            if all(result.violations for result in results):
                self._add(found, *best(results, value, "anyOf"))
        if node.one_of:
            results = [self._tried(inner, value) for inner in node.one_of]
            fitting = [result for result in results if not result.violations]
            if not fitting:
                self._add(found, *best(results, value, "oneOf"))
            elif len(fitting) > 1:
                message = f"{shown(value)} is valid under more than one of the schemas listed in the 'oneOf' keyword"
                self._add(found, Violation((), "oneOf", message))
            else:
                self._merge(found, fitting[0])

    def _merge(self, found: Found, inner: Found, *, required: bool = False) -> None:
        """Adds what another node has evaluated at the same place and, if that node must match, its violations."""
        if inner.violations:
            if required and len(found.violations) < self._limit:
                found.add(inner.violations)
            return
        if not self._marks:
            return
        self._spend((len(inner.properties or ()) + len(inner.items or ())) // 100)
        both_names = found.properties is not None and inner.properties is not None
        found.properties = found.properties | inner.properties if both_names else None  # type: ignore[operator]  # both
        both_items = found.items is not None and inner.items is not None
        found.items = found.items | inner.items if both_items else None  # type: ignore[operator]  # as above

    def _in_object(self, node: Node, value: dict[str, Any], found: Found) -> None:
        seen: set[str] = set()
        for name, inner in node.properties.items():
            if name in value:
                seen.add(name)
                self._inside(inner, value[name], name, found)
        for pattern, inner in node.patterns.items():
            matches = self._leaf(node.matchers[pattern])
            for name, item in value.items():
                self._spend(1)
                if matches is not None and matches.is_valid(name):
                    seen.add(name)
                    self._inside(inner, item, name, found)
        if node.additional is not None:
            self._rest(node.additional, value, [name for name in value if name not in seen], found, "Additional")
            seen.update(value)
        if node.names is not None:
            for name in value:
                self._add(found, *self._tried(node.names, name).violations)
        if found.properties is not None:
            found.properties |= seen
        if node.unevaluated_properties is not None:
            evaluated = found.properties
            rest = [] if evaluated is None else [name for name in value if name not in evaluated]
            self._rest(node.unevaluated_properties, value, rest, found, "Unevaluated")
            found.properties = None

    def _rest(self, node: Node, value: dict[str, Any], names: list[str], found: Found, what: str) -> None:
        if node.schema is False and names:
            shown = ", ".join(f"'{name[:80]}'" for name in names[:5])
            verb = "were" if len(names) > 1 else "was"
            message = f"{what} properties are not allowed ({shown} {verb} unexpected)"
            self._add(found, Violation((), f"{what.lower()}Properties", message))
        elif node.schema is not True:
            for name in names:
                self._inside(node, value[name], name, found)

    def _in_array(self, node: Node, value: list[Any], found: Found) -> None:
        seen = min(len(node.prefix), len(value))
        for index in range(seen):
            self._inside(node.prefix[index], value[index], index, found)
        if node.items is not None:
            self._items(node.items, value, seen, found)
            found.items = None
        elif found.items is not None:
            found.items.update(range(seen))
        if node.contains is not None:
            self._contains(node, value, found)
        if node.unevaluated_items is not None:
            evaluated = found.items
            rest = [] if evaluated is None else [index for index in range(len(value)) if index not in evaluated]
            for index in rest:
                self._inside(node.unevaluated_items, value[index], index, found)
            found.items = None

    def _items(self, node: Node, value: list[Any], start: int, found: Found) -> None:
        leaf = self._leaf(node) if node.is_leaf else None
        for index in range(start, len(value)):
            if leaf is not None and leaf.is_valid(value[index]):
                if not index % 8:
                    self._spend(1)
                continue
            self._inside(node, value[index], index, found)
            if len(found.violations) >= self._limit:
                return

    def _contains(self, node: Node, value: list[Any], found: Found) -> None:
        assert node.contains is not None
        matching = [i for i, item in enumerate(value) if not self._tried(node.contains, item, i).violations]
        least, most = node.schema.get("minContains", 1), node.schema.get("maxContains")
        if len(matching) < least:
            message = "None of the items match the schema of 'contains'" if not matching else "Too few items match it"
            self._add(found, Violation((), "contains", message))
        elif most is not None and len(matching) > most:
            self._add(found, Violation((), "contains", "Too many items match the schema of 'contains'"))
        elif found.items is not None:
            found.items.update(matching)
