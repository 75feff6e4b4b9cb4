"""Which schemas cost what: before a payload comes, by the schema alone."""

from __future__ import annotations

import pytest

from streamer.engine.schema_cost import MAX_LOOKS, UNBOUNDED, EndlessReference, cost_of
from streamer.engine.schema_graph import Graph
from streamer.engine.validation import SchemaError, Validator

SELF = {"$ref": "#"}


def cost(schema, resources=None, base=None):
    return cost_of(Graph(schema, resources or {}, base))


def doubling(levels, keyword="anyOf"):
    parts = {f"p{levels}": {"type": "number"}}
    for level in range(levels):
        parts[f"p{level}"] = {keyword: [{"$ref": f"#/$defs/p{level + 1}"}, {"$ref": f"#/$defs/p{level + 1}"}]}
    return {"$ref": "#/$defs/p0", "$defs": parts}


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {"type": "object", "properties": {"a": {"type": "string"}, "b": {"items": {"type": "string"}}}},
        {"properties": {"value": {"type": "number"}, "children": {"items": SELF}}},
        {"properties": {"next": SELF, "previous": SELF}},
        {"anyOf": [{"type": "null"}, {"properties": {"a": {"oneOf": [{"type": "null"}, {"type": "string"}]}}}]},
        {"oneOf": [{"properties": {"kind": {"const": number}}} for number in range(50)]},
        {"$schema": "http://json-schema.org/draft-07/schema#", "properties": {"a": SELF}, "dependencies": {"a": ["b"]}},
    ],
)
def test_errors_of_ordinary_schemas_are_listed(schema):
    assert cost(schema).list_errors < 500
    assert Validator(schema).lists_errors


@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"items": SELF}, {"items": SELF}]},
        {"items": SELF, "allOf": [{"prefixItems": [SELF]}]},
        {"properties": {"a": SELF}, "patternProperties": {"^a": SELF}},
        {"properties": {"a": SELF}, "allOf": [{"additionalProperties": SELF}]},
        {"properties": {"a": SELF}, "unevaluatedProperties": False, "allOf": [True]},
        {"unevaluatedItems": SELF},
        {"if": {"items": SELF}, "then": {"items": SELF}},
        {"not": {"items": SELF}},
        {"contains": SELF},
        {"dependentSchemas": {"a": {"properties": {"a": SELF}}}, "additionalProperties": SELF},
        {"oneOf": [{"type": "null"}, {"properties": {"next": SELF}}]},
        {"$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}},
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "items": [SELF],
            "additionalItems": SELF,
            "anyOf": [{"items": SELF}],
        },
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "dependencies": {"a": {"additionalProperties": SELF}},
            "properties": {"a": SELF},
        },
        {
            "$schema": "https://json-schema.org/draft/2019-09/schema",
            "$recursiveAnchor": True,
            "items": {"$recursiveRef": "#"},
        },
        doubling(14),
    ],
)
def test_errors_of_schemas_that_multiply_are_not_listed(schema):
    assert cost(schema).list_errors > 1000
    assert not Validator(schema).lists_errors


def test_references_that_multiply_are_counted_without_following_each_way():
    assert cost(doubling(10)).validate == 4094
    assert cost(doubling(200)).validate == UNBOUNDED


@pytest.mark.parametrize("keyword", ["anyOf", "allOf", "oneOf"])
def test_a_schema_that_no_value_could_be_checked_against_in_time_is_refused(keyword):
    Validator(doubling(12, keyword))
    with pytest.raises(SchemaError, match="references to the same subschema multiply"):
        Validator(doubling(30, keyword))
    assert cost(doubling(30, keyword)).validate > MAX_LOOKS


def test_unevaluated_properties_that_are_nested_multiply():
    schema = {"type": "number"}
    for _ in range(20):
        schema = {"anyOf": [{"properties": {"a": schema}}], "unevaluatedProperties": False}
    assert cost(schema).validate > MAX_LOOKS


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"anyOf": [{"type": "string"}, SELF]},
        {"not": SELF},
        {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"$ref": "#/$defs/a"}}},
    ],
)
def test_a_schema_that_refers_to_itself_at_the_same_value_is_refused(schema):
    with pytest.raises(EndlessReference):
        cost(schema)
    with pytest.raises(SchemaError, match="refers to itself at the same value"):
        Validator(schema)


def test_references_lead_to_other_files_ids_and_anchors():
    resources = {
        "file:///s/other.json": {"$anchor": "top", "$defs": {"n": {"$id": "inner.json", "items": {"$ref": "a.json"}}}},
        "file:///s/a.json": {"not": "read"},
    }
    schema = {
        "properties": {"a": {"$ref": "other.json#/$defs/n"}, "b": {"$ref": "other.json#top"}, "c": {"$ref": "#here"}},
        "$defs": {"h": {"$anchor": "here", "type": "null"}},
    }
    graph = Graph(schema, resources, "file:///s/a.json")
    assert graph.certain
    assert sum(node is graph.root for node in graph.nodes) == 1
    assert any(node.leaf == {"type": "null"} for node in graph.nodes)
    assert any(node.items is not None and node.items.all_of == [graph.root] for node in graph.nodes)


def test_next_to_a_reference_nothing_counts_in_draft_7():
    graph = Graph(
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "items": {"$ref": "#/definitions/a", "type": "null"},
            "definitions": {"a": {"type": "string"}},
        },
        {},
        None,
    )
    assert graph.root.items is not None
    assert not graph.root.items.leaf


def test_what_leads_nowhere_makes_a_graph_uncertain():
    assert not Graph({"$ref": "nowhere.json"}, {}, None).certain
    assert not Graph({"items": {"$dynamicRef": "#nowhere"}}, {}, None).certain
    assert cost({"$ref": "nowhere.json"}).list_errors == UNBOUNDED


def test_a_dynamic_reference_may_lead_to_one_that_is_not_dynamic():
    graph = Graph({"items": {"$dynamicRef": "#here"}, "$defs": {"h": {"$anchor": "here", "type": "null"}}}, {}, None)
    assert any(node.leaf == {"type": "null"} for node in graph.nodes)
