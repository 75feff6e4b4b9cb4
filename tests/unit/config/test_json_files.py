"""JSON files with the line and column of what stands in them."""

import pytest

from streamer.config.json_files import JsonFile, NotJson

TEXT = """\
{
  "type": "object",
  "a \\"b": {"c": [1, {"d": null}, []], "e" : true},
  "a \\"b": {"c": [  1.5e3,
    "x" ]}
}
"""


@pytest.fixture
def written(tmp_path):
    def write(content):
        path = tmp_path / "s.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return JsonFile(path)

    return write


@pytest.mark.parametrize(
    ("place", "position"),
    [
        ((), (1, 1)),
        (("type",), (2, 11)),
        (('a "b', "c"), (4, 18)),
        (('a "b', "c", 0), (4, 21)),
        (('a "b', "c", 1), (5, 5)),
        (('a "b', "c", 2), (4, 18)),
        (('a "b', "c", "x"), (4, 18)),
        (("none", "below"), (1, 1)),
        (("type", "below"), (2, 11)),
    ],
)
def test_every_value_has_its_line_and_column(written, place, position):
    assert written(TEXT).position(place) == position


def test_empty_containers_have_places_too(written):
    file = written('{"a": {}, "b": []}')
    assert file.position(("a", "x")) == (1, 7)
    assert file.position(("b", 0)) == (1, 16)
    assert written("\n  5").position(("a",)) == (2, 3)


def test_a_byte_order_mark_is_no_part_of_the_text(written):
    assert written("\ufeff[1]").data == [1]


@pytest.mark.parametrize(
    ("content", "line", "column", "part"),
    [
        ('{"a": 1,\n}', 2, 1, "JSON allows no comma before a closing brace"),
        ('{\n  // note\n  "a": 1}', 2, 3, "and no comments"),
        ("[1 2]", 1, 4, "it is not JSON: Expecting ',' delimiter"),
        ("", 1, 1, "it is not JSON"),
        ("type: object\n", 1, 1, "use YAML only for schemas inside the configuration itself"),
        (b'{"a":\n "\xff"}', 2, 3, "the file is not UTF-8 text"),
        ("[NaN]", 1, 1, "JSON has no number NaN"),
        ("[-Infinity]", 1, 1, "JSON has no number -Infinity"),
        ("[" * 100_000, 1, 1, "nested too deeply"),
    ],
)
def test_what_is_not_json_is_told_with_its_place(written, content, line, column, part):
    with pytest.raises(NotJson) as caught:
        written(content)
    assert (caught.value.line, caught.value.column) == (line, column)
    assert part in str(caught.value)


def test_a_missing_file_is_the_systems_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        JsonFile(tmp_path / "none.json")
