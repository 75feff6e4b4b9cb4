"""The codes are a fixed set, and each has a case that shows it: `golden/<code>`, a file and what is told of it."""

import ast
import re
from pathlib import Path

import pytest

import streamer.config
from streamer.config import CODES, Problem, load
from streamer.config.problems import WARNINGS, in_order
from streamer.core.errors import ConfigError, PluginError
from streamer.engine.validation import Validator

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("code", sorted(CODES))
def test_every_code_is_told_as_its_golden_case_says(code, discover, monkeypatch):
    def refuse(_plugins):
        raise PluginError("plugin 'acme': it has no components\nplugin 'other': importing other failed")

    monkeypatch.chdir(GOLDEN / code)
    with pytest.raises(ConfigError) as caught:
        load(
            Path("streamer.yaml"),
            discover=refuse if code == "plugin-error" else discover,
            environ={},
            compile_schema=Validator,
        )
    told = f"{caught.value}\n"
    assert told == Path("expected.txt").read_text()
    assert code in {problem.code for problem in caught.value.problems}


def test_there_is_no_golden_case_of_a_code_that_is_not():
    assert {folder.name for folder in GOLDEN.iterdir()} == set(CODES)


@pytest.mark.parametrize("code", WARNINGS)
def test_every_warning_is_given_as_its_case_says(code, discover, monkeypatch):
    monkeypatch.chdir(GOLDEN.parent / "warnings")
    settings = load(Path(f"{code}.yaml"), discover=discover, environ={}, compile_schema=Validator)
    assert [f"{warning}\n" for warning in settings.warnings] == [Path(f"{code}.txt").read_text()]
    assert code not in CODES
    assert WARNINGS[code]
    assert not WARNINGS[code].endswith(".")


def test_every_code_that_is_written_in_the_package_is_in_the_set():
    like_a_code = re.compile("(unknown|missing|bad|wrong|duplicate|remote|estimate|plugin|yaml)(-[a-z]+)+")
    for file in Path(streamer.config.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and like_a_code.fullmatch(node.value):
                assert node.value in CODES, f"{file.name}:{node.lineno}"


@pytest.mark.parametrize("code", CODES)
def test_every_code_is_explained_in_one_sentence(code):
    assert code == code.lower()
    assert CODES[code]
    assert not CODES[code].endswith(".")


def test_a_problem_is_one_line():
    problem = Problem("streamer.yaml", 9, 5, "unknown-key", "actions.echo", "'handlr' (did you mean 'handler'?)")
    assert str(problem) == "streamer.yaml:9:5: unknown-key: actions.echo: 'handlr' (did you mean 'handler'?)"
    whole = Problem("streamer.yaml", 1, 1, "missing-key", "", "the file is empty")
    assert str(whole) == "streamer.yaml:1:1: missing-key: the file is empty"


def test_a_problem_is_one_line_whatever_the_file_holds():
    problem = Problem("s.yaml", 1, 1, "bad-value", "actions.a\nb", "not 'x\u2028y\x1b[0m'")
    assert str(problem) == "s.yaml:1:1: bad-value: actions.a b: not 'x y [0m'"


def test_problems_come_by_line_the_file_itself_first_and_each_once():
    def problem(file, line, place=""):
        return Problem(file, line, 1, "bad-value", place, "wrong")

    found = [problem("a.json", 1), problem("s.yaml", 10), problem("s.yaml", 9, "b"), problem("s.yaml", 9, "a")]
    assert in_order(found, "s.yaml") == [problem("s.yaml", 9, "a"), problem("s.yaml", 10), problem("a.json", 1)]
