"""`${NAME}` and `${NAME:-default}`: what goes in, what type it gets, and what is said when it cannot."""

import pytest

from streamer.config.document import Document
from streamer.config.environment import convert, fill


def filled(text, **environ):
    document = Document("s.yaml")
    document.parse(text)
    fill(document, environ)
    return document


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${A}", "one"),
        ("x-${A}-${B}", "x-one-two"),
        ("${A:-other}", "one"),
        ("${NONE:-other}", "other"),
        ("${NONE:-}", ""),
        ("${EMPTY:-other}", "other"),
        ("${EMPTY}", ""),
        ("$${A}", "${A}"),
        ("$$${A}", "$${A}"),
        ("$A $ {A} {A}", "$A $ {A} {A}"),
        ("${NONE:-a:-b}", "a:-b"),
    ],
)
def test_variables_are_filled_from_the_environment(written, value):
    document = filled(f"service: {{name: '{written}'}}", A="one", B="two", EMPTY="")
    assert document.data["service"]["name"] == value
    assert not document.problems


def test_what_a_variable_holds_is_not_filled_again():
    assert filled("service: {name: '${A}'}", A="${B}", B="no").data["service"]["name"] == "${B}"


def test_variables_are_filled_in_lists_and_without_quotes_in_flow_collections():
    document = filled("server: {allowed_origins: [${A}, ${B:-http://b}], path: ${P:-/ws}}", A="http://a")
    assert document.data["server"] == {"allowed_origins": ["http://a", "http://b"], "path": "/ws"}


def test_it_is_known_where_something_was_filled_in_and_what():
    document = filled("service: {name: 'x${A}${B:-c}'}\nlogs: {level: debug}", A="a")
    assert document.filled == {("service", "name"): [("A", "a"), ("B", "c")]}


@pytest.mark.parametrize("written", ["${PORT}", "'${PORT}'", "${NONE:-9000}"])
def test_a_number_is_made_where_the_file_takes_only_numbers(written):
    assert filled(f"server: {{port: {written}}}", PORT="9000").data["server"]["port"] == 9000


def test_a_truth_value_is_made_where_the_file_takes_only_those():
    assert filled("service: {expose_errors: ${X}}", X="true").data["service"]["expose_errors"] is True


def test_text_stays_text_where_text_is_taken_whatever_it_looks_like():
    assert filled("service: {name: ${X}}", X="12345").data["service"]["name"] == "12345"
    assert filled("service: {name: ${X}}", X="null").data["service"]["name"] == "null"


@pytest.mark.parametrize("value", ["many", "1.5", "", "true"])
def test_what_is_no_number_stays_text_for_the_check_to_refuse(value):
    assert filled("server: {port: ${X}}", X=value).data["server"]["port"] == value


def test_where_no_schema_speaks_text_stays_text():
    assert filled("unknown: {port: ${X}}", X="1").data["unknown"]["port"] == "1"
    assert filled("${X}", X="1").data == "1"


def test_a_components_own_schema_decides_in_its_options():
    document = filled("with: {n: ${N}, f: ${F}, s: ${N}, e: ${N}, c: ${N}}\nother: ${N}", N="1", F="1.5")
    schema = {
        "properties": {
            "n": {"type": "integer"},
            "f": {"type": "number"},
            "s": {"type": ["integer", "string"]},
            "e": {"enum": [1, 2]},
            "c": {"const": 1},
        }
    }
    convert(document, schema, ("with",))
    assert document.data == {"with": {"n": 1, "f": 1.5, "s": "1", "e": 1, "c": 1}, "other": "1"}


def test_a_missing_variable_is_told_at_its_own_place():
    document = filled("service:\n  name: |\n    first\n    second ${NOT_THERE}\nlogs: {level: 'x${NOT_HERE}'}\n")
    assert [str(problem).partition(";")[0] for problem in document.problems] == [
        "s.yaml:4:12: missing-variable: service.name: the environment variable NOT_THERE is not set",
        "s.yaml:5:17: missing-variable: logs.level: the environment variable NOT_HERE is not set",
    ]
    assert document.is_broken(("service", "name"))


@pytest.mark.parametrize("written", ["${}", "${A B}", "${1A}", "${A-b}", "${A:b}", "${A", "${A:-${B}}", "${é}"])
def test_a_variable_that_is_not_well_formed_is_told(written):
    document = filled(f'service: {{name: "{written}"}}', A="a", B="b")
    assert {problem.code for problem in document.problems} == {"bad-variable"}
    assert "a literal ${ is written $${" in document.problems[0].message
