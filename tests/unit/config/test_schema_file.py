"""The file's JSON Schema as people and editors get it: valid, complete, of one mind with the settings, and shipped."""

import dataclasses
import json
import subprocess
import sys
import types
import typing
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

import streamer.config
from streamer.config import editor_schema
from streamer.config import settings as records
from streamer.config.settings import PluginSettings
from streamer.config.shape import file_schema
from streamer.core.units import parse_duration, parse_rate, parse_size
from streamer.plugins.manager import discover
from streamer.runtime import builtins

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "schemas/streamer.schema.json"
CONVERT = {"#/$defs/duration": parse_duration, "#/$defs/size": parse_size, "#/$defs/rate": parse_rate}

SECTIONS = {
    "service": records.ServiceSettings,
    "server": records.ServerSettings,
    "worker": records.WorkerSettings,
    "plugins": records.PluginSettings,
    "logs": records.LogSettings,
}
NOT_IN_THE_FILE = {
    "cancel_after",  # made of `on_disconnect`
    "name",
    "options",
    "schema_path",
    "schema_resources",
    "result_schema_path",
    "result_schema_resources",
}
"""An action's name is its key, its options are `with`, and the rest is read from the schema's file."""
MADE_ELSEWHERE = {"description", "estimated_duration", "handler", "permissions", "retry"}
"""What an action takes from its handler or makes of a section has no default of its own in the file."""


def shape(name):
    schema = file_schema()["properties"][name]
    return schema["additionalProperties"] if name == "actions" else schema


def default_of(described):
    """What the schema says is taken when the key is left out, as the settings hold it; None when it says nothing."""
    value = described.get("default")
    convert = CONVERT.get(described.get("$ref"))
    if value is not None and convert is not None:
        return convert(value)
    return tuple(value) if isinstance(value, list) else value


def default_in(field):
    if field.default is not dataclasses.MISSING:
        return field.default
    return None if field.default_factory is dataclasses.MISSING else field.default_factory()


@pytest.mark.parametrize(("name", "record"), SECTIONS.items())
def test_every_key_of_a_section_is_a_setting_with_the_same_default_and_the_reverse(name, record):
    described = shape(name)["properties"]
    fields = {field.name: field for field in dataclasses.fields(record)}
    assert described.keys() == fields.keys()
    for key, field in fields.items():
        assert default_of(described[key]) == default_in(field), f"{name}.{key}"


def test_an_actions_keys_and_its_settings_agree_too():
    described = shape("actions")["properties"]
    fields = {field.name: field for field in dataclasses.fields(records.ActionSettings)}
    assert described.keys() - {"with", "on_disconnect"} == fields.keys() - NOT_IN_THE_FILE
    for key in described.keys() - MADE_ELSEWHERE - {"with", "on_disconnect"}:
        assert default_of(described[key]) == default_in(fields[key]), key


def test_so_do_those_of_a_retry():
    described = shape("actions")["properties"]["retry"]["properties"]
    fields = {field.name: field for field in dataclasses.fields(records.RetrySettings)}
    assert described.keys() == fields.keys()
    for key, field in fields.items():
        assert default_of(described[key]) == default_in(field), key


def test_the_components_that_are_taken_when_none_is_named_are_those_of_the_settings():
    described = file_schema()["properties"]
    assert described["auth"]["default"] == {"use": records.Settings(path=Path()).auth.name}
    for field in dataclasses.fields(records.BackendSettings):
        assert described["backends"]["properties"][field.name]["default"] == {"use": field.default.name}


def test_every_section_of_the_file_is_in_the_settings():
    assert file_schema()["properties"].keys() - {"version"} == {
        field.name for field in dataclasses.fields(records.Settings)
    } - {"path", "secrets", "secret_places", "warnings"}


def test_the_types_of_the_schema_are_those_of_the_settings():
    kinds = {"integer": int, "number": float, "boolean": bool, "string": str, "array": tuple}
    units = {"#/$defs/duration": float, "#/$defs/size": int}
    for name, record in [*SECTIONS.items(), ("actions", records.ActionSettings)]:
        hints = typing.get_type_hints(record)
        for key, described in shape(name)["properties"].items():
            kind = described.get("type")
            wanted = units.get(described.get("$ref")) or (kinds.get(kind) if isinstance(kind, str) else None)
            if wanted is None or key not in hints:
                continue
            allowed = typing.get_args(hints[key]) if isinstance(hints[key], types.UnionType) else (hints[key],)
            assert wanted in {typing.get_origin(one) or one for one in allowed}, f"{name}.{key}"


def test_it_is_a_json_schema_whose_defaults_it_takes_itself():
    Draft202012Validator.check_schema(file_schema())

    def check(schema):
        if "default" in schema:
            whole = {**schema, "$defs": file_schema()["$defs"]}
            assert not list(Draft202012Validator(whole).iter_errors(schema["default"])), schema
        for below in schema.get("properties", {}).values():
            check(below)
        if isinstance(schema.get("additionalProperties"), dict):
            check(schema["additionalProperties"])

    check(file_schema())


def test_the_package_holds_the_file_of_the_repository():
    inside = Path(streamer.config.__file__).with_name("streamer.schema.json")
    assert inside.read_bytes() == SCHEMA.read_bytes()


@pytest.mark.skipif(find_spec("hatchling") is None, reason="hatchling, which builds the wheel, is not installed")
def test_a_wheel_holds_it_as_a_file_and_not_as_a_link(tmp_path):
    # It builds in this environment, so that nothing is fetched.
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = archive.getinfo("streamer/config/streamer.schema.json")
        assert archive.read(inside) == SCHEMA.read_bytes()
        link = 0o120000
        assert (inside.external_attr >> 16) & 0o170000 != link
        assert "streamer/py.typed" in archive.namelist()


@pytest.fixture(scope="module")
def in_an_editor():
    """The schema that `streamer schema` prints with what is installed here."""
    return Draft202012Validator(editor_schema(discover(PluginSettings(), builtins=[builtins]).components))


@pytest.fixture
def repository_file():
    return yaml.safe_load((ROOT / "streamer.yaml").read_text())


def test_an_editor_finds_nothing_wrong_in_the_repositorys_file(in_an_editor, repository_file):
    assert [error.message for error in in_an_editor.iter_errors(repository_file)] == []


@pytest.mark.parametrize(
    ("section", "wrong"),
    [
        ("service", {"async_treshold": "5s"}),
        ("server", {"port": "8080"}),
        ("backends", {"store": {"use": "sqlite", "pth": "x.db"}}),
        ("middleware", [{"use": "timeout", "limt": "5s"}]),
        ("middleware", [{"use": "timeout", "limit": "5"}]),
        ("middleware", ["timeot"]),
        ("actions", {"a": {"handler": "http", "with": {"url": "http://localhost", "metod": "POST"}}}),
        ("actions", {"a": {"handler": "http"}}),
        ("actions", {"a": {"handler": "delay", "with": {"delay": 5}}}),
        ("actions", {"a": {"handler": "demo.genrate_report"}}),
    ],
)
def test_an_editor_marks_a_wrong_option_in_it(in_an_editor, repository_file, section, wrong):
    assert not in_an_editor.is_valid({**repository_file, section: wrong})


def test_the_files_schema_alone_takes_what_only_components_know():
    validator = Draft202012Validator(json.loads(SCHEMA.read_text()))
    assert validator.is_valid({"version": 1, "middleware": [{"use": "a.plugin", "anything": 1}]})
    assert not validator.is_valid({"version": 1, "midleware": []})
