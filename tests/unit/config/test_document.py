"""Plain data that remembers where it was written, and the surprises of YAML that are refused."""

import pytest

from streamer.config import document as document_module
from streamer.config.document import Document, read_document, spell


def parsed(text):
    document = Document("s.yaml")
    document.parse(text)
    return document


def lines(document):
    return [f"{problem.line}:{problem.column} {problem.code} {problem.place}" for problem in document.problems]


def test_every_value_and_key_has_its_line_and_column():
    document = parsed("version: 1\nactions:\n  echo: {handler: echo, with: [1,\n    2]}\n")
    assert document.data == {"version": 1, "actions": {"echo": {"handler": "echo", "with": [1, 2]}}}
    assert document.position(("actions", "echo", "handler")) == (3, 19)
    assert document.position(("actions", "echo", "handler"), key=True) == (3, 10)
    assert document.position(("actions", "echo", "with", 1)) == (4, 5)
    assert document.position(("actions",), key=True) == (2, 1)
    assert document.at(("actions", "echo", "with", 1)) == 2


def test_what_was_not_written_has_the_place_of_what_is_around_it():
    document = parsed("actions:\n  echo: {handler: echo}\n")
    assert document.position(("actions", "echo", "with", "url")) == (2, 9)
    assert document.position(("actions", "echo", "with", "url"), key=True) == (2, 3)
    assert document.position(("nothing",)) == (1, 1)


def test_quoted_scalars_are_text_and_plain_ones_what_they_look_like():
    assert parsed("a: 1\nb: '1'\nc: \"true\"\nd: true\ne:\nf: |\n  1\n").data == {
        "a": 1,
        "b": "1",
        "c": "true",
        "d": True,
        "e": None,
        "f": "1\n",
    }


def test_anchors_give_the_same_value_with_the_place_where_it_was_written():
    document = parsed("a: &x {k: 1}\nb: *x\n")
    assert document.data == {"a": {"k": 1}, "b": {"k": 1}}
    assert document.data["a"] is not document.data["b"]
    assert document.position(("b", "k")) == (1, 11)


def test_merged_keys_come_after_the_mappings_own_and_the_first_merged_wins():
    document = parsed("a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc:\n  <<: [*a, *b]\n  x: 3\nd: {<<: *b}\n")
    assert document.data["c"] == {"x": 3, "y": 1, "z": 2}
    assert document.data["d"] == {"y": 2, "z": 2}
    assert document.position(("c", "y")) == (1, 17)
    assert document.position(("c", "z"), key=True) == (2, 14)
    assert document.position(("c", "x")) == (5, 6)
    assert not document.problems


def test_merges_reach_through_merges():
    assert parsed("a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b}\n").data["c"] == {"x": 1, "y": 2}


def count_merges(monkeypatch, text):
    counted = []
    pairs = Document._pairs

    def counting(document, *arguments):
        counted.append(1)
        pairs(document, *arguments)

    monkeypatch.setattr(Document, "_pairs", counting)
    return parsed(text), len(counted)


def test_merges_of_one_mapping_again_and_again_do_not_multiply(monkeypatch):
    text = "m0: &m0 {k: 1}\n"
    for level in range(1, 9):
        text += f"m{level}: &m{level} {{<<: [{', '.join([f'*m{level - 1}'] * 5)}]}}\n"
    document, count = count_merges(monkeypatch, text)
    assert document.data["m8"] == {"k": 1}
    assert count < 50
    assert not document.problems


def test_merges_of_several_mappings_each_of_which_merges_several_do_not_multiply(monkeypatch):
    text = "".join(f"m0_{one}: &m0_{one} {{k{one}: 1}}\n" for one in range(3))
    for level in range(1, 8):
        sources = ", ".join(f"*m{level - 1}_{one}" for one in range(3))
        text += "".join(f"m{level}_{one}: &m{level}_{one} {{<<: [{sources}]}}\n" for one in range(3))
    document, count = count_merges(monkeypatch, text)
    assert document.data["m7_2"] == {"k0": 1, "k1": 1, "k2": 1}
    assert count < 400


def test_what_merges_bring_into_a_file_has_a_bound(monkeypatch):
    monkeypatch.setattr(document_module, "MAX_MERGED", 20)
    document = parsed("m: &m {a: 1, b: 2, c: 3, d: 4}\n" + "".join(f"n{one}: {{<<: *m}}\n" for one in range(10)))
    assert lines(document) == ["6:5 yaml-feature n4"]
    assert "write the pairs out" in document.problems[0].message
    assert document.data is None


def test_a_quoted_merge_sign_is_a_key_like_any_other():
    assert parsed("a: {'<<': 1}").data == {"a": {"<<": 1}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3", ["3:1 duplicate-key "]),
        ("x: {a: 1, a: 2}", ["1:11 duplicate-key x"]),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}", ["2:13 duplicate-key b"]),
        ("1: a", ["1:1 bad-key "]),
        ("x:\n  null: a\n  true: b\n  1.5: c", ["2:3 bad-key x", "3:3 bad-key x", "4:3 bad-key x"]),
        ("? [a]\n: b", ["1:3 bad-key "]),
        ("a: !!str 5", ["1:4 yaml-feature a"]),
        ("a: !mine {b: 1}", ["1:4 yaml-feature a"]),
        ("!!str a: 1", ["1:1 yaml-feature "]),
        ("a: &a [*a]", ["1:4 yaml-feature a[0]"]),
        ("a: &a {b: {<<: *a}}", ["1:4 yaml-feature a.b"]),
        ("a: {<<: 1}", ["1:9 yaml-feature a"]),
        ("a: {<<: [1]}", ["1:10 yaml-feature a"]),
        ('a: "\\ud83d"', ["1:4 yaml-feature a"]),
        ("a: .nan\nb: [1e999]", ["1:4 yaml-feature a", "2:5 yaml-feature b[0]"]),
    ],
)
def test_surprises_are_refused_at_their_place(text, expected):
    assert lines(parsed(text)) == expected


@pytest.mark.parametrize("text", ["yes: 1", "on: 1", "2026-01-01: 1", "'1': 1"])
def test_keys_that_are_text_in_yaml_1_2_are_keys(text):
    assert not parsed(text).problems


def test_a_refused_value_is_known_to_be_broken_with_all_that_is_in_it():
    document = parsed("a: !x {b: 1}\nc: 1")
    assert document.is_broken(("a",))
    assert document.is_broken(("a", "b"))
    assert not document.is_broken(("c",))


@pytest.mark.parametrize("text", ["", "# only a comment", "---\n...", "null", "~"])
def test_a_file_that_says_nothing_is_a_problem(text):
    document = parsed(text)
    assert document.data is None
    assert lines(document) == ["1:1 missing-key "]


def test_aliases_that_multiply_are_stopped(monkeypatch):
    monkeypatch.setattr(document_module, "MAX_NODES", 1000)
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 9))
    document = parsed("l0: &l0 [1]\n" + levels)
    assert document.data is None
    assert [problem.code for problem in document.problems] == ["yaml-feature"]
    assert "more than 1,000 values" in document.problems[0].message


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 150 + "]" * 150,
        "".join(f"a{n}: &a{n} [*a{n - 1}]\n" if n else "a0: &a0 [1]\n" for n in range(110)),
        "".join(f"a{n}: &a{n} {{<<: *a{n - 1}}}\n" if n else "a0: &a0 {k: 1}\n" for n in range(110)),
    ],
)
def test_depth_is_bounded_however_it_is_made(text):
    document = parsed(text)
    assert {problem.code for problem in document.problems} == {"yaml-feature"}


def test_a_hundred_levels_are_fine():
    assert not parsed("a: " + "[" * 99 + "]" * 99).problems


def test_a_variable_is_found_inside_of_a_block_of_text():
    document = parsed("a: |\n  one\n  two ${X}\nb: '${X}'\n")
    assert document.position_in_text(("a",), "${X}") == (3, 7)
    assert document.position_in_text(("b",), "${X}") == (4, 5)
    assert document.position_in_text(("b",), "${Y}") == (4, 4)
    assert document.position_in_text(("c",), "${Y}") == (1, 1)


def test_places_are_spelt_with_dots_and_brackets():
    assert spell(("middleware", 0, "limit")) == "middleware[0].limit"
    assert spell(()) == ""


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    path = tmp_path / "s.yaml"
    path.write_bytes("\ufeffversion: 1\n".encode())
    assert read_document(path).data == {"version": 1}


@pytest.mark.parametrize(
    ("content", "expected", "message"),
    [
        (b"a: 1\nb: \xff", "2:4 unreadable ", "the file is not UTF-8 text; save it as UTF-8"),
        ("a: 1".encode("utf-16"), "1:1 unreadable ", "the file is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_other_encodings_are_refused_at_the_first_wrong_byte(tmp_path, content, expected, message):
    path = tmp_path / "s.yaml"
    path.write_bytes(content)
    document = read_document(path)
    assert lines(document) == [expected]
    assert document.problems[0].message == message


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path):
    assert "there is no such file" in read_document(tmp_path / "none.yaml").problems[0].message
    assert "directory" in read_document(tmp_path).problems[0].message
    assert "not a path" in read_document(tmp_path / "a\0b").problems[0].message


def test_the_place_of_a_part_of_a_text_is_found_over_lines():
    document = parsed('a: "x ${A}"\nb: "one\n  two ${B}"\nc: 1\n')
    assert document.position_in_text(("a",), "${A}") == (1, 7)
    assert document.position_in_text(("b",), "${B}") == (3, 7)
    assert document.position_in_text(("b",), "${C}") == (2, 4)
