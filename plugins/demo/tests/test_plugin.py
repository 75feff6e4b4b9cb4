"""What the plugin offers is found through its entry point, and is what its schemas say."""

import sys
from importlib.metadata import entry_points
from subprocess import run

import jsonschema_rs
import pytest

import streamer_demo.plugin
from streamer import BuildContext
from streamer.core.units import parse_duration
from streamer_demo.plugin import streamer_handlers

COMPONENTS = {component.name: component for component in streamer_handlers()}


def valid(name, payload):
    schema = COMPONENTS[name].schema
    return jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(payload)


def test_the_entry_point_names_the_plugin():
    found = [point for point in entry_points(group="streamer") if point.value == streamer_demo.plugin.__name__]
    assert [point.load() for point in found] == [streamer_demo.plugin]


def test_it_offers_these_handlers():
    assert set(COMPONENTS) == {"create_user", "generate_report", "process_data", "bulk_operation"}


@pytest.mark.parametrize("component", COMPONENTS.values(), ids=COMPONENTS)
def test_every_handler_says_what_it_does_and_how_long_it_takes(component):
    assert component.summary.endswith(".")
    assert parse_duration(component.estimated_duration) > 0
    jsonschema_rs.meta.validate(component.schema)


@pytest.mark.parametrize("component", COMPONENTS.values(), ids=COMPONENTS)
def test_every_option_has_a_default_that_the_handler_takes(component, tmp_path):
    options = {name: schema["default"] for name, schema in component.options["properties"].items()}
    assert jsonschema_rs.is_valid(component.options, options)
    built = component.factory(options, BuildContext(base_dir=tmp_path))
    assert built.options["data_dir"] == tmp_path / "data"
    assert built.cpu_bound == (component.name == "generate_report")


@pytest.mark.parametrize(
    ("name", "payload", "right"),
    [
        ("create_user", {"name": "Ada", "email": "ada@example.com"}, True),
        ("create_user", {"name": "Ada", "email": "ada"}, False),
        ("create_user", {"name": "Ada", "email": "ada@example.com", "admin": True}, False),
        ("generate_report", None, True),
        ("generate_report", {"group_by": "week", "start_date": "2025-01-31", "formats": ["pdf"]}, True),
        ("generate_report", {"start_date": "31.01.2025"}, False),
        ("generate_report", {"formats": []}, False),
        ("process_data", {"csv": "id\n"}, True),
        ("process_data", {"path": "a.csv", "delimiter": ";"}, True),
        ("process_data", {}, False),
        ("process_data", {"csv": "id\n", "path": "a.csv"}, False),
        ("bulk_operation", {"operation": "refund", "items": [{"id": "pay_1", "amount": "1.50"}]}, True),
        ("bulk_operation", {"operation": "refund", "items": [{"id": "pay_1", "amount": 1.5}]}, False),
        ("bulk_operation", {"operation": "tag", "items": [{"id": "pay_1", "tag": "vip"}]}, True),
        ("bulk_operation", {"operation": "tag", "items": [{"id": "pay_1"}]}, False),
        ("bulk_operation", {"operation": "delete", "items": [{"id": "pay_1"}]}, False),
        ("bulk_operation", {"operation": "archive", "items": []}, False),
    ],
)
def test_payloads_are_told_right_from_wrong(name, payload, right):
    assert valid(name, payload) == right


def test_listing_the_handlers_loads_no_heavy_library():
    program = (
        f"import sys, {streamer_demo.plugin.__name__}; print({{'reportlab', 'xlsxwriter', 'PIL'}} & set(sys.modules))"
    )
    assert run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "set()\n"
