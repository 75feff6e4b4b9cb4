"""YAML to plain data that remembers where every value and key was written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import yaml

from streamer.config.problems import Problem

Path_ = tuple[str | int, ...]
Position = tuple[int, int]

MAX_NODES: Final = 200_000
"""Values after all aliases are followed; more is an alias bomb."""

_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
_INTEGER: Final = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL: Final = re.compile(r"0o[0-7]+", re.ASCII)
_HEXADECIMAL: Final = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_LONGEST_INTEGER: Final = 4000
"""Digits; Python refuses to read more than 4,300."""


class _Loader(yaml.SafeLoader):
    """Leaves plain scalars as they are: their types are decided here, by YAML 1.2's core schema."""


_Loader.yaml_implicit_resolvers = {}


class Document:
    """The data of a file, and where each part of it stands.

    Attributes:
        data: plain dictionaries, lists and scalars.
        plain: paths of scalars that were written without quotes.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.data: Any = None
        self.problems: list[Problem] = []
        self.plain: set[Path_] = set()
        self._values: dict[Path_, Position] = {(): (1, 1)}
        self._keys: dict[Path_, Position] = {}
        self._nodes = 0

    def problem(self, code: str, path: Path_, message: str, *, key: bool = False) -> None:
        """Notes a problem at a value, or at its key."""
        line, column = self.position(path, key=key)
        self.problems.append(Problem(self.file, line, column, code, place(path), message))

    def position(self, path: Path_, *, key: bool = False) -> Position:
        """Line and column, from 1, of a value or its key; of the nearest parent for what was not written."""
        if key and path in self._keys:
            return self._keys[path]
        while path not in self._values:
            path = path[:-1]
        return self._values[path]

    def take(self, node: yaml.Node) -> Any:
        """Fills the document from a composed node."""
        self.data = self._construct(node, (), ())
        return self.data

    def _construct(self, node: yaml.Node, path: Path_, above: tuple[int, ...]) -> Any:
        self._values[path] = (node.start_mark.line + 1, node.start_mark.column + 1)
        self._nodes += 1
        if self._nodes > MAX_NODES:
            if self._nodes == MAX_NODES + 1:
                self.problem("yaml-feature", path, "aliases multiply the file beyond all measure; write it out")
            return None
        if id(node) in above:
            self.problem("yaml-feature", path, "an alias that contains itself; write out what is meant")
            return None
        if node.tag not in _Loader_TAGS:
            name = node.tag.removeprefix("tag:yaml.org,2002:")
            self.problem("yaml-feature", path, f"the tag !{name.lstrip('!')} is not supported; remove it")
        above = (*above, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, above)
        if isinstance(node, yaml.SequenceNode):
            return [self._construct(item, (*path, index), above) for index, item in enumerate(node.value)]
        assert isinstance(node, yaml.ScalarNode)
        if node.style is not None:
            return node.value
        self.plain.add(path)
        return resolve(node.value)

    def _mapping(self, node: yaml.MappingNode, path: Path_, above: tuple[int, ...]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for key_node, value_node in node.value:
            line, column = key_node.start_mark.line + 1, key_node.start_mark.column + 1
            plain = isinstance(key_node, yaml.ScalarNode) and key_node.style is None
            if plain and key_node.value == "<<":
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            key = resolve(key_node.value) if plain else key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or not isinstance(key, str):
                shown = key_node.value if isinstance(key_node, yaml.ScalarNode) else "a list or mapping"
                self.problems.append(
                    Problem(
                        self.file, line, column, "bad-key", place(path), f"the key {shown!r} is not a string; quote it"
                    )
                )
                continue
            if key in made:
                first = self._keys[(*path, key)][0]
                message = f"the key {key!r} stands already in line {first}; remove one of them"
                self.problems.append(Problem(self.file, line, column, "duplicate-key", place((*path, key)), message))
                continue
            self._keys[(*path, key)] = (line, column)
            made[key] = self._construct(value_node, (*path, key), above)
        for node_to_merge in merged:
            self._merge(node_to_merge, made, path, above)
        return made

    def _merge(self, node: yaml.Node, made: dict[str, Any], path: Path_, above: tuple[int, ...]) -> None:
        """A merge key: what the mapping itself says comes first. Positions are those of what was merged."""
        if not isinstance(node, yaml.MappingNode) or id(node) in above:
            line, column = node.start_mark.line + 1, node.start_mark.column + 1
            text = "<< takes a mapping, or a list of mappings, that does not contain this one"
            self.problems.append(Problem(self.file, line, column, "yaml-feature", place(path), text))
            return
        own = self._values.get(path)
        part = self._mapping(
            yaml.MappingNode(
                node.tag,
                [pair for pair in node.value if getattr(pair[0], "value", None) not in made],
                node.start_mark,
                node.end_mark,
            ),
            path,
            (*above, id(node)),
        )
        made.update({key: value for key, value in part.items() if key not in made})
        if own is not None:
            self._values[path] = own


_Loader_TAGS: Final = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("str", "seq", "map"))


def resolve(text: str) -> Any:
    """A plain scalar's value by the core schema of YAML 1.2 (section 10.3.2)."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if len(text) <= _LONGEST_INTEGER:
        if _INTEGER.fullmatch(text):
            return int(text)
        if _OCTAL.fullmatch(text):
            return int(text, 8)
        if _HEXADECIMAL.fullmatch(text):
            return int(text, 16)
        if _FLOAT.fullmatch(text):
            return float(text)
    return text


def place(path: Path_) -> str:
    """A path as messages write it: `middleware[0].limit`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def read_document(path: Path, shown: str | None = None) -> Document:
    """The file as a document; what is wrong with it is among its `problems`, and then `data` may be None."""
    document = Document(shown or str(path))
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        _whole(document, "unreadable", f"it is not UTF-8 text (byte {problem.start})")
        return document
    except OSError as problem:
        reason = "there is no such file" if isinstance(problem, FileNotFoundError) else str(problem.strerror)
        _whole(document, "unreadable", f"{reason}; name the file with --config PATH")
        return document
    return parse_document(text, document)


def parse_document(text: str, document: Document) -> Document:
    """Fills the document from text."""
    loader: Any = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        several = "single document" in str(problem.context or "")
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        message = "one file holds one document; remove what follows ---" if several else _sentence(problem)
        code = "yaml-feature" if several else "syntax"
        document.problems.append(Problem(document.file, line, column, code, "", message))
        return document
    except yaml.YAMLError as problem:
        line = text.count("\n", 0, getattr(problem, "position", 0)) + 1
        document.problems.append(Problem(document.file, line, 1, "syntax", "", str(problem).replace("\n", " ")))
        return document
    except RecursionError:
        _whole(document, "syntax", "it is nested too deeply")
        return document
    finally:
        if loader is not None:
            loader.dispose()
    if node is None:
        _whole(document, "missing-key", "the file is empty; begin with 'version: 1'")
        return document
    try:
        document.take(node)
    except RecursionError:
        _whole(document, "syntax", "it is nested too deeply")
    return document


def _whole(document: Document, code: str, message: str) -> None:
    document.problems.append(Problem(document.file, 1, 1, code, "", message))


def _sentence(problem: yaml.MarkedYAMLError) -> str:
    parts = [part for part in (problem.context, problem.problem) if part]
    text = ": ".join(parts)
    if "'\\t'" in text:
        return f"{text}; indent with spaces, not tabs"
    return text or "it is not YAML"
