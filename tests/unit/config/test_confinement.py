"""Where the references of schemas may lead."""

from __future__ import annotations

import json

import pytest

from streamer.config.confinement import confinement


def action(schema, name="a"):
    return f"version: 1\nactions:\n  {name}:\n    handler: echo\n    schema: {schema}\n"


@pytest.fixture
def outside(tmp_path):
    """A folder beside that of the configuration, with a schema."""
    folder = tmp_path.parent / f"{tmp_path.name}-outside"
    (folder / "deep").mkdir(parents=True)
    (folder / "secret.json").write_text('{"type": "string"}')
    (folder / "deep" / "more.json").write_text('{"$ref": "../secret.json"}')
    return folder


@pytest.mark.parametrize(
    "reference",
    ["../{name}/secret.json", "{path}/secret.json", "file://{path}/secret.json", "..%2F{name}%2Fsecret.json",
     "link.json", "linked/secret.json", "./x/../../{name}/secret.json#/type"],
)  # fmt: skip
def test_a_schemas_file_cannot_lead_out_of_the_folders_that_are_named(problems_of, tmp_path, outside, reference):
    (tmp_path / "link.json").symlink_to(outside / "secret.json")
    (tmp_path / "linked").symlink_to(outside)
    reference = reference.format(name=outside.name, path=outside)
    (line,) = problems_of(action("order.json"), {"order.json": json.dumps({"$ref": reference})})
    assert "outside-reference" in line
    assert "points outside the folders" in line


def test_what_lies_below_is_read_whichever_way_it_is_written(settings_of, tmp_path):
    files = {
        "schemas/order.json": json.dumps({"items": {"$ref": "../common/a.json"}}),
        "common/a.json": json.dumps({"$ref": (tmp_path / "schemas" / "b.json").as_uri()}),
        "schemas/b.json": '{"type": "string"}',
    }
    (tmp_path / "alias").symlink_to(tmp_path / "schemas")
    assert settings_of(action("alias/order.json"), files).actions["a"].schema is not None


def test_a_schema_that_the_configuration_names_brings_its_folder(settings_of, outside):
    assert settings_of(
        action(f"../{outside.name}/deep/more.json") + f"  b:\n    handler: echo\n    schema: {outside}/secret.json\n"
    )


def test_a_schema_that_the_configuration_names_does_not_bring_the_folder_above(problems_of, outside):
    (line,) = problems_of(action(f"../{outside.name}/deep/more.json"))
    assert "outside-reference" in line


def test_a_reference_in_the_configuration_names_a_folder_too(settings_of, problems_of, outside):
    assert settings_of(action(f"{{$ref: '../{outside.name}/secret.json'}}"))
    (line,) = problems_of(action(f"{{$ref: '../{outside.name}/deep/more.json'}}"))
    assert "outside-reference" in line


def test_a_named_schema_behind_a_link_brings_both_folders(settings_of, tmp_path, outside):
    (outside / "main.json").write_text('{"$ref": "secret.json"}')
    (tmp_path / "main.json").symlink_to(outside / "main.json")
    (tmp_path / "secret.json").symlink_to(outside / "secret.json")
    assert settings_of(action("main.json"))


def test_a_configuration_mounted_by_links_is_one_folder(settings_of, tmp_path):
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "a.json").write_text('{"$ref": "b.json"}')
    (tmp_path / "..2026" / "b.json").write_text("true")
    for name in ("a.json", "b.json"):
        (tmp_path / name).symlink_to(f"..2026/{name}")
    assert settings_of(action("a.json"))


def test_a_reference_that_is_no_path_is_told(problems_of):
    (line,) = problems_of(action("a.json"), {"a.json": '{"$ref": "x%00y.json"}'})
    assert "missing-reference" in line
    assert "not a path" in line


@pytest.mark.parametrize(
    "data", [None, [], {"actions": 3}, {"actions": {"a": 3}}, {"actions": {"a": {"schema": "a\0"}}}]
)
def test_what_is_no_configuration_names_its_own_folder(tmp_path, data):
    made = confinement(tmp_path / "streamer.yaml", data)
    assert made.holds(tmp_path / "x")
    assert not made.holds(tmp_path.parent)
