"""Text to nodes: what is not one YAML document is told with its place and a way out."""

import pytest

from streamer.config.syntax import Shield, SyntaxProblem, compose


def test_a_variable_needs_no_quotes_in_a_flow_collection():
    shield = Shield("{a: ${B:-x,[y]}, c: [${D}]}")
    node = compose(shield)
    pairs = [(key.value, value) for key, value in node.value]
    assert [key for key, _ in pairs] == ["a", "c"]
    assert shield.original(pairs[0][1].value) == "${B:-x,[y]}"
    assert shield.original(pairs[1][1].value[0].value) == "${D}"


def test_stand_ins_are_never_characters_of_the_text():
    text = "".join(chr(0xF0000 + offset) for offset in range(12)) + "${A}"
    shield = Shield(text)
    assert shield.original(shield.text) == text
    assert "{" not in shield.text


def test_a_variable_ends_before_a_quote():
    assert compose(Shield('{a: "${B"}')).value[0][1].value == "${B"


def test_a_text_without_a_document_has_no_node():
    assert compose(Shield("# nothing\n")) is None


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "part"),
    [
        ("a:\n\tb: 1", "syntax", 2, 1, "indent with spaces, not with tabs"),
        ("a: @b", "syntax", 1, 4, "put the text in quotes"),
        ("a: `b", "syntax", 1, 4, "put the text in quotes"),
        ("a: %b", "syntax", 1, 4, "put the text in quotes"),
        ("a: b: c", "syntax", 1, 5, "quote a string that contains ': '"),
        ("a: 1\n  b\nc: 2\n d: 3", "syntax", 4, 3, "indent all keys of a mapping equally"),
        ("- a\nb: 1", "syntax", 2, 1, "check the indentation"),
        ("a: *b", "syntax", 1, 4, "define an &anchor before its alias"),
        ("a: [*]", "syntax", 1, 6, "quote a string that starts with *"),
        ("a: [1", "syntax", 1, 6, "a bracket is not closed"),
        ('a: "1', "syntax", 1, 6, "a quote or a bracket is not closed"),
        ("a: 1\n--- \nb: 1", "yaml-feature", 2, 1, "a file must contain one document"),
        ("a: 1\nb: \x07", "syntax", 2, 4, "U+0007"),
        ("[" * 5000, "syntax", 1, 1, "nested too deeply"),
        ("a: {b: ${C}, ]", "syntax", 1, 14, "a bracket is not closed"),
        ("%YAML 3.0\n--- a", "syntax", 1, 1, "version"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text, code, line, column, part):
    with pytest.raises(SyntaxProblem) as caught:
        compose(Shield(text))
    problem = caught.value
    assert (problem.code, problem.line, problem.column) == (code, line, column)
    assert part in str(problem)
    assert "\n" not in str(problem)
