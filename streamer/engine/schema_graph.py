"""A JSON Schema as a graph: each subschema a node, each applicator and each `$ref` an edge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from streamer.engine.schema_references import Resolver

NOWHERE: Final = "https://no-file.invalid/"
"""The base of a schema without a file; it cannot be reached (RFC 2606)."""

_LISTS: Final = {"allOf": "all_of", "anyOf": "any_of", "oneOf": "one_of", "prefixItems": "prefix"}
_ONE: Final = {
    "not": "excluded",
    "if": "condition",
    "then": "consequence",
    "else": "alternative",
    "additionalProperties": "additional",
    "propertyNames": "names",
    "unevaluatedProperties": "unevaluated_properties",
    "items": "items",
    "contains": "contains",
    "unevaluatedItems": "unevaluated_items",
}
_NAMED: Final = {"properties": "properties", "patternProperties": "patterns", "dependentSchemas": "dependent"}
_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_WITHOUT_EFFECT: Final = frozenset(
    {
        "$defs",
        "definitions",
        "$id",
        "$anchor",
        "$dynamicAnchor",
        "$recursiveAnchor",
        "$schema",
        "$vocabulary",
        "$comment",
    }
    | {"description", "title", "default", "examples", "deprecated", "readOnly", "writeOnly"}
)
_NOT_LEAVES: Final = _WITHOUT_EFFECT | {
    *(*_LISTS, *_ONE, *_NAMED, *_REFERENCES, "dependencies", "minContains", "maxContains", "additionalItems")
}
_ALONE: Final = frozenset({"$ref", "$defs", "definitions", "description", "title", "$comment"})
"""Keywords of a node that only refers to another."""


@dataclass(eq=False, slots=True)
class Node:
    """One subschema. Keywords without subschemas are in `leaf`, the others are edges to nodes."""

    schema: Any
    draft: str | None = None
    """The `$schema` of its keywords; None for 2020-12."""
    leaf: dict[str, Any] = field(default_factory=dict)
    all_of: list[Node] = field(default_factory=list)
    """From `allOf` and references: all must match."""
    any_of: list[Node] = field(default_factory=list)
    one_of: list[Node] = field(default_factory=list)
    excluded: Node | None = None
    condition: Node | None = None
    consequence: Node | None = None
    alternative: Node | None = None
    dependent: dict[str, Node] = field(default_factory=dict)
    properties: dict[str, Node] = field(default_factory=dict)
    patterns: dict[str, Node] = field(default_factory=dict)
    matchers: dict[str, Node] = field(default_factory=dict)
    """For each of `patterns` the node for names that match it."""
    additional: Node | None = None
    names: Node | None = None
    unevaluated_properties: Node | None = None
    prefix: list[Node] = field(default_factory=list)
    items: Node | None = None
    contains: Node | None = None
    unevaluated_items: Node | None = None
    through: Node | None = None
    """The node that it refers to, if it does nothing else."""
    is_leaf: bool = False
    """Whether it has only keywords without subschemas."""
    is_shared: bool = False
    """Whether other nodes check the same value."""

    def in_place(self) -> Iterator[Node]:
        """Nodes that check the same value."""
        yield from self.all_of
        yield from self.any_of
        yield from self.one_of
        yield from self.dependent.values()
        for node in (self.excluded, self.condition, self.consequence, self.alternative):
            if node is not None:
                yield node

    @property
    def looks_again(self) -> bool:
        """Whether it depends on what the nodes at its place have evaluated, for which they are evaluated again."""
        return self.unevaluated_properties is not None or self.unevaluated_items is not None

    @property
    def is_simple(self) -> bool:
        """Whether it contains no alternatives: an error of a part is an error of the whole."""
        has_alternatives = self.any_of or self.one_of or self.looks_again or self.contains
        return not has_alternatives and self.excluded is None and self.condition is None


class Graph:
    """The graph of one schema.

    Args:
        schema: the whole schema.
        resources: the targets of its `$ref`s, by URI.
        base_uri: the base of its relative `$ref`s.

    Attributes:
        root: the node of the whole schema.
        nodes: all reachable nodes, the root first.
        certain: whether every reference has the same target in each validation; a `$dynamicRef` may not.
    """

    def __init__(self, schema: Any, resources: Mapping[str, Any], base_uri: str | None) -> None:
        self.certain = True
        self.nodes: list[Node] = []
        self._known: dict[int, Node] = {}
        self._waiting: list[tuple[Node, Any]] = []
        self._root_resolver: Resolver | None = None
        if _refers(schema):
            from streamer.engine.schema_references import Resolver  # noqa: PLC0415 - a tenth of a start

            self._root_resolver = Resolver.of(schema, resources, base_uri or NOWHERE)
        self.root = self._node(schema, self._root_resolver, _said(schema))
        while self._waiting:
            self._fill(*self._waiting.pop())

    def _node(self, schema: Any, resolver: Resolver | None, draft: str | None) -> Node:
        known = self._known.get(id(schema)) if isinstance(schema, Mapping) else None
        if known is None:
            known = Node(schema, draft)
            self.nodes.append(known)
            if isinstance(schema, Mapping):
                self._known[id(schema)] = known
                self._waiting.append((known, resolver))
        return known

    def _fill(self, node: Node, resolver: Resolver | None) -> None:
        schema = node.schema
        if resolver is not None and isinstance(schema.get("$id"), str) and node is not self.root:
            resolver = resolver.inside(schema)
        draft = node.draft = _said(schema, node.draft)
        for keyword in _REFERENCES:
            if resolver is not None and isinstance(schema.get(keyword), str):
                self._refer(node, keyword, resolver)
        if draft is not None and "draft-07" in draft and "$ref" in schema:
            # Up to draft 7, other keywords next to a reference are ignored.
            return
        for keyword, name in _LISTS.items():
            if isinstance(schema.get(keyword), list):
                getattr(node, name).extend(self._node(one, resolver, draft) for one in schema[keyword])
        for keyword, name in _NAMED.items():
            if isinstance(schema.get(keyword), Mapping):
                getattr(node, name).update(
                    {key: self._node(one, resolver, draft) for key, one in schema[keyword].items()}
                )
        for keyword, name in _ONE.items():
            if isinstance(schema.get(keyword), Mapping | bool):
                setattr(node, name, self._node(schema[keyword], resolver, draft))
        self._fill_older(node, resolver)
        node.leaf = {keyword: value for keyword, value in schema.items() if keyword not in _NOT_LEAVES}
        node.matchers = {one: Node({"pattern": one}, draft, {"pattern": one}) for one in node.patterns}
        if node.all_of and "$ref" in schema and all(keyword in _ALONE for keyword in schema):
            node.through = node.all_of[0]
        node.is_shared = any(True for _ in node.in_place())
        node.is_leaf = all(keyword in node.leaf or keyword in _WITHOUT_EFFECT for keyword in schema)

    def _fill_older(self, node: Node, resolver: Resolver | None) -> None:
        """`items` as a list, `additionalItems` and `dependencies`, as before 2020-12."""
        schema, draft = node.schema, node.draft
        items = schema.get("items")
        if isinstance(items, list):
            node.prefix.extend(self._node(one, resolver, draft) for one in items)
            if isinstance(schema.get("additionalItems"), Mapping | bool):
                node.items = self._node(schema["additionalItems"], resolver, draft)
        dependencies = schema.get("dependencies")
        for name, wanted in dependencies.items() if isinstance(dependencies, Mapping) else ():
            one = {"required": wanted} if isinstance(wanted, list) else wanted
            node.dependent[name] = self._node(one, resolver, draft)

    def _refer(self, node: Node, keyword: str, resolver: Resolver) -> None:
        reference = node.schema[keyword]
        found = resolver.lookup(reference)
        if found is None:
            self.certain = False
            return
        if keyword != "$ref":
            self.certain = False
            outermost = self._outermost(reference.partition("#")[2])
            if outermost is not None and _is_dynamic(found[0]):
                found = outermost
        schema, inside = found
        whole = inside.lookup("#")
        # The draft of a reference's target, which may be in another file.
        node.all_of.append(self._node(schema, inside, None if whole is None else _said(whole[0])))

    def _outermost(self, name: str) -> tuple[Any, Resolver] | None:
        """The target of a dynamic reference with that name, if the whole schema has such an anchor."""
        found = None if self._root_resolver is None else self._root_resolver.lookup(f"#{name}")
        return found if found is not None and _is_dynamic(found[0]) else None


def _said(schema: Any, otherwise: str | None = None) -> str | None:
    said = schema.get("$schema") if isinstance(schema, Mapping) else None
    if not isinstance(said, str):
        return otherwise
    return None if "2020-12" in said else said


def _is_dynamic(schema: Any) -> bool:
    return isinstance(schema, Mapping) and ("$dynamicAnchor" in schema or schema.get("$recursiveAnchor") is True)


def _refers(schema: Any) -> bool:
    """Whether there may be a reference somewhere in it."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        if isinstance(part, Mapping):
            if any(isinstance(part.get(keyword), str) for keyword in _REFERENCES):
                return True
            waiting += part.values()
        elif isinstance(part, list):
            waiting += part
    return False
