"""Parses YAML text to PyYAML's nodes. Scalars stay text here, and `${…}` needs no quotes in a flow collection."""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

_VARIABLE: Final = re.compile(r"""\$\{[^{}\n"']*\}""")
_SPECIAL: Final = "{}[],"
"""Characters that end a plain scalar inside `{…}` and `[…]`."""

IMPLICIT: Final = frozenset({"scalar", "sequence", "mapping"})
"""Tags of nodes without an explicit one."""


class SyntaxProblem(Exception):
    """The text is not exactly one YAML document.

    Args:
        code: one of the problem codes.
        line: from 1.
        column: from 1.
        message: what is wrong.
    """

    def __init__(self, code: str, line: int, column: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.line = line
        self.column = column


class _Loader(yaml.SafeLoader):
    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:  # noqa: ARG002 - the base class's shape
        """A private tag, to distinguish it from explicit ones."""
        if kind is yaml.ScalarNode:
            return "scalar"
        return "sequence" if kind is yaml.SequenceNode else "mapping"


class Shield:
    """Replaces the special characters within `${…}` by private ones, and restores them.

    YAML would read the braces of an unquoted `{path: ${HOME}}` as a mapping. Lines and columns do not change.
    """

    def __init__(self, text: str) -> None:
        base = 0xF0000
        while any(chr(base + offset) in text for offset in range(len(_SPECIAL))):
            base += len(_SPECIAL)
        stand_ins = "".join(chr(base + offset) for offset in range(len(_SPECIAL)))
        self._on = str.maketrans(_SPECIAL, stand_ins)
        self._off = str.maketrans(stand_ins, _SPECIAL)
        self.text = _VARIABLE.sub(lambda match: match[0].translate(self._on), text)

    def original(self, text: str) -> str:
        """A part of the shielded text as it was written."""
        return text.translate(self._off)


def compose(shield: Shield) -> yaml.Node | None:
    """The root node; None for a text without a document.

    Raises:
        SyntaxProblem: it is not YAML, or more than one document.
    """
    text = shield.text
    try:
        loader = _Loader(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as problem:
        raise _marked(problem, shield) from None
    except yaml.reader.ReaderError as problem:
        before = text[: problem.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        # Depending on where PyYAML finds the character, it reports it as text or as a number.
        number = problem.character if isinstance(problem.character, int) else ord(problem.character)
        message = f"YAML does not allow the character U+{number:04X}; remove it, or write it as an escape in quotes"
        raise SyntaxProblem("syntax", line, column, message) from None
    except RecursionError:
        raise SyntaxProblem("syntax", 1, 1, "it is nested too deeply") from None
    return node


def _marked(problem: yaml.MarkedYAMLError, shield: Shield) -> SyntaxProblem:
    mark = problem.problem_mark or problem.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
    context, what = (shield.original(str(part or "")) for part in (problem.context, problem.problem))
    if "single document" in context:
        return SyntaxProblem(
            "yaml-feature", line, column, "a file must contain one document; remove '---' and the text after it"
        )
    message = ": ".join(part for part in (context, what) if part)
    return SyntaxProblem("syntax", line, column, message + _how_to_fix(context, what))


def _how_to_fix(context: str, what: str) -> str:
    if r"'\t'" in what:
        return "; indent with spaces, not with tabs"
    if "'@'" in what or "'`'" in what or "'%'" in what:
        return "; put the text in quotes"
    if "mapping values are not allowed" in what:
        return "; quote a string that contains ': ', and indent all keys of a mapping equally"
    if "expected <block end>" in what:
        return "; check the indentation of this line and of those above it"
    if "undefined alias" in what or "alias" in context:
        return "; quote a string that starts with *, and define an &anchor before its alias"
    if "quoted scalar" in context or "flow" in context:
        return "; a quote or a bracket is not closed"
    return ""
