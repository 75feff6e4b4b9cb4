"""How often a value may be checked by a schema, which decides whether it can be validated, and its errors listed.

A value is checked once for each path from the root of the schema to a subschema at that value's place. If alternatives
meet again in one subschema, the paths multiply: along a chain of `$ref`s they double with each, and in a recursive
schema with each level of the payload.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from streamer.engine.schema_graph import Graph, Node

UNBOUNDED: Final = 10**12
"""More checks than acceptable; larger numbers are limited to it."""
MAX_LOOKS: Final = 100_000
"""Checks of one value that a schema may need to validate it: some five milliseconds."""
LEVELS: Final = 64
"""Of a payload: the default of `service.max_depth`."""
MAX_WORK: Final = 10_000_000
"""The total work for the values of one payload, in checks: a fifth of a second."""
_COUNTED: Final = 100
"""Work per value up to which no payload that fits into a message exceeds the total."""
_INTEGER: Final = 16
"""The cost of comparing two numbers in checks; the validator compares exactly."""
_FLOAT: Final = 60
"""The same if one is not an integer."""
_MULTIPLE: Final = 300
"""The cost of checking whether a number is a multiple of a non-integer."""
_AGAIN: Final = 3
"""How often a node with `unevaluatedProperties` or `unevaluatedItems` checks the nodes at its place."""

_Weigh = Callable[[Node], int]
_Targets = dict[str | int | None, Counter[Node]]


class EndlessReference(ValueError):
    """A schema that refers to itself at the same value, so that its validation would never end."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Maximum checks of one value.

    Attributes:
        validate: to decide whether it is valid: the validator caches recursive schemas.
        list_errors: to list the errors, without a cache; `UNBOUNDED` if it grows with each level.
        simple: there are no alternatives, so the first error is one of the whole.
        work: as `validate`, but comparisons of numbers, objects and arrays count by their time.
    """

    validate: int
    list_errors: int
    simple: bool
    work: int

    @property
    def most_values(self) -> int | None:
        """How many values a payload may have, so that it is validated in bounded time; None: no limit."""
        return None if self.work <= _COUNTED else MAX_WORK // self.work


def cost_of(graph: Graph) -> Cost:
    """The cost of a schema.

    Raises:
        EndlessReference: it refers to itself at the same value.
    """
    analysis = _Analysis(graph, _weight)
    listing = analysis.with_recursion() if graph.certain else UNBOUNDED
    work = _Analysis(graph, _work).without_recursion()
    return Cost(analysis.without_recursion(), listing, all(node.is_simple for node in graph.nodes), work)


class _Analysis:
    def __init__(self, graph: Graph, weigh: _Weigh) -> None:
        self._weigh = weigh
        self._root = graph.root
        self._order = _in_order(graph)
        self._here: dict[Node, Counter[Node]] = {}
        self._sizes: dict[Node, int] = {}
        self._below: dict[Node, _Targets] = {}
        waiting = [graph.root]
        while waiting:
            entry = waiting.pop()
            if entry in self._below:
                continue
            if entry.is_leaf:
                self._here[entry], self._sizes[entry], self._below[entry] = Counter(), weigh(entry), {}
            else:
                self._here[entry] = self._ways(entry)
                self._sizes[entry] = min(UNBOUNDED, sum(self._here[entry].values()))
                self._below[entry] = _targets(self._here[entry])
                waiting.extend(node for found in self._below[entry].values() for node in found)

    def _ways(self, entry: Node) -> Counter[Node]:
        """The nodes at the place of one, each with the number of paths to it."""
        ways = Counter({entry: 1})
        reached = {entry}
        waiting = [entry]
        while waiting:
            for node in waiting.pop().in_place():
                if node not in reached:
                    reached.add(node)
                    waiting.append(node)
        for node in sorted(reached, key=self._order.__getitem__):
            often = ways[node] * (_AGAIN if node.looks_again else 1)
            ways[node] = min(UNBOUNDED, ways[node] * self._weigh(node))
            for inner in node.in_place():
                ways[inner] = min(UNBOUNDED, ways[inner] + often)
        return ways

    def with_recursion(self) -> int:
        """Checks without a cache."""
        looks: dict[Node, int] = {}
        heights: dict[Node, int] = {}
        for group in _groups(self._root, {node: _all(below) for node, below in self._below.items()}):
            recursive = len(group) > 1 or any(node in _all(self._below[node]) for node in group)
            below, height, ambiguous = 0, 0, False
            for node in group:
                for targets in self._below[node].values():
                    inside = sum(often for target, often in targets.items() if target in group)
                    ambiguous = ambiguous or inside > 1
                    outside = {target: often for target, often in targets.items() if target not in group}
                    below = max(below, sum(often * looks[target] for target, often in outside.items()))
                    height = max([height, *(1 + heights[target] for target in outside)])
            # With alternatives, each level checks everything below it again, whether one of them matches or not.
            if recursive:
                ambiguous = ambiguous or not all(inner.is_simple for node in group for inner in self._here[node])
            largest = max(self._sizes[node] for node in group)
            if not recursive:
                total = max(largest, below)
            else:
                total = UNBOUNDED if ambiguous else largest + min(LEVELS, height) * below
                height = LEVELS
            looks.update(dict.fromkeys(group, min(UNBOUNDED, total)))
            heights.update(dict.fromkeys(group, min(LEVELS, height)))
        return looks[self._root]

    def without_recursion(self) -> int:
        """Checks where a recursive subschema is checked once for each value."""
        looks: dict[Node, int] = {}
        again: set[Node] = set()
        entered = {self._root}
        stack = [(self._root, iter(_all(self._below[self._root])))]
        while stack:
            node, targets = stack[-1]
            target = next(targets, None)
            if target is None:
                stack.pop()
                entered.discard(node)
                found = (
                    sum(often * looks.get(one, 1) for one, often in below.items())
                    for below in self._below[node].values()
                )
                looks[node] = min(UNBOUNDED, max([self._sizes[node], *found]))
            elif target in entered:
                again.add(target)
            elif target not in looks:
                entered.add(target)
                stack.append((target, iter(_all(self._below[target]))))
        return min(UNBOUNDED, looks[self._root] + sum(looks[node] for node in again if node is not self._root))


def _weight(node: Node) -> int:
    """The cost of its own keywords: usually one each, but each missing name is a separate error."""
    required, dependent = node.leaf.get("required", ()), node.leaf.get("dependentRequired", {})
    return 1 + len(required) // 8 + sum(map(len, dependent.values())) // 8


def _work(node: Node) -> int:
    """The same as time: the comparisons of the validator."""
    leaf = node.leaf
    work = 1 + len(leaf.get("required", ())) // 8 + sum(map(len, leaf.get("dependentRequired", {}).values()))
    if "const" in leaf:
        work += _comparing(leaf["const"])
    values = leaf.get("enum", ())
    # Strings alone, and integers alone, are looked up at once.
    if not (len(values) > 1 and all(type(value) is int for value in values)):
        work += sum(map(_comparing, values))
    for limit in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
        work += _FLOAT if isinstance(leaf.get(limit), float) else 0
    return work + (_MULTIPLE if isinstance(leaf.get("multipleOf"), float) else 0)


def _comparing(value: Any) -> int:
    """The cost of comparing another value with this one."""
    looks = 0
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict | list):
            looks += 2
            waiting.extend(one.values() if isinstance(one, dict) else one)
        elif isinstance(one, float):
            looks += _FLOAT
        elif isinstance(one, int) and not isinstance(one, bool):
            looks += _INTEGER
    return looks


def _targets(here: Mapping[Node, int]) -> _Targets:
    """The nodes one level below, with the number of paths to each, by name or position.

    `None` stands for all unknown names, the position after the last for all further ones, and -1 for the names
    themselves.
    """
    found: _Targets = {}
    open_names = [(node, often) for node, often in here.items() if node.additional or node.patterns or node.looks_again]
    for name in (*(name for node in here for name in node.properties), None):
        found[name] = Counter()
        for node, often in open_names:
            if name is None or name not in node.properties:
                _add(found[name], node.additional, often)
            _add(found[name], node.unevaluated_properties, often)
            for inner in node.patterns.values():
                _add(found[name], inner, often)
    found[-1] = Counter()
    for node, often in here.items():
        for name, inner in node.properties.items():
            _add(found[name], inner, often)
        _add(found[-1], node.names, often)
    for position in range(max((len(node.prefix) for node in here), default=0) + 1):
        found[position] = Counter()
        for node, often in here.items():
            inside = position < len(node.prefix)
            _add(found[position], node.prefix[position] if inside else node.items, often)
            _add(found[position], node.contains, often)
            _add(found[position], node.unevaluated_items, often)
    return {label: counted for label, counted in found.items() if counted}


def _add(counted: Counter[Node], node: Node | None, often: int) -> None:
    if node is not None:
        while node.through is not None:
            node = node.through
        counted[node] = min(UNBOUNDED, counted[node] + often)


def _all(below: _Targets) -> dict[Node, None]:
    return {node: None for counted in below.values() for node in counted}


def _in_order(graph: Graph) -> dict[Node, int]:
    """The nodes in an order in which each comes before those that it contains at its own place.

    Raises:
        EndlessReference: there is no such order.
    """
    holders: Counter[Node] = Counter()
    for node in graph.nodes:
        holders.update(node.in_place())
    free = [node for node in graph.nodes if not holders[node]]
    order: dict[Node, int] = {}
    while free:
        node = free.pop()
        order[node] = len(order)
        for inner in node.in_place():
            holders[inner] -= 1
            if not holders[inner]:
                free.append(inner)
    if len(order) < len(graph.nodes):
        raise EndlessReference("it refers to itself at the same value, so that checking a value would never end")
    return order


def _groups(root: Node, edges: Mapping[Node, Iterable[Node]]) -> list[set[Node]]:
    """Strongly connected nodes, as sets; sets come after those that they refer to (Tarjan 1972, without recursion)."""
    number: dict[Node, int] = {root: 0}
    low: dict[Node, int] = {root: 0}
    open_nodes, found = [root], []
    is_open = {root}
    stack = [(root, iter(edges[root]))]
    while stack:
        node, targets = stack[-1]
        target = next(targets, None)
        if target is None:
            stack.pop()
            if stack:
                low[stack[-1][0]] = min(low[stack[-1][0]], low[node])
            if low[node] == number[node]:
                group = set()
                while node not in group:
                    group.add(open_nodes.pop())
                is_open -= group
                found.append(group)
        elif target not in number:
            number[target] = low[target] = len(number)
            open_nodes.append(target)
            is_open.add(target)
            stack.append((target, iter(edges[target])))
        elif target in is_open:
            low[node] = min(low[node], number[target])
    return found
