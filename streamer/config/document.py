"""Parses YAML into plain data and remembers the line and column of every value and key."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import yaml

from streamer.config.problems import Problem
from streamer.config.scalars import resolve
from streamer.config.syntax import IMPLICIT, Shield, SyntaxProblem, compose

Place = tuple[str | int, ...]
"""Keys and list positions from the root to a value."""
Position = tuple[int, int]
"""Line and column, from 1."""

MAX_NODES: Final = 100_000
"""Values after all aliases are followed; more indicates an alias bomb."""
MAX_MERGED: Final = 100_000
"""Pairs that merges may copy; more come from merges of merges, each of which names several."""
MAX_DEPTH: Final = 100
"""Levels of lists and mappings, including merges; code that walks through the data later can rely on it."""
_INDICATOR: Final = "<<"


class Document:
    """The data of a file, with the position of each part.

    Attributes:
        file: its name in messages.
        data: plain dictionaries, lists and scalars; None when the text could not be parsed.
        problems: the problems, in the order in which they were found.
        warnings: the warnings, in the order in which they were found.
        broken: places whose value differs from what was written, because of a problem that is already reported.
        filled: places that contain a `${…}`, with the names and values of the variables.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.data: Any = None
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.broken: set[Place] = set()
        self.filled: dict[Place, list[tuple[str, str]]] = {}
        self._values: dict[Place, Position] = {(): (1, 1)}
        self._keys: dict[Place, Position] = {}
        self._nodes: dict[Place, yaml.Node] = {}
        self._shield = Shield("")
        self._merged = 0

    def problem(self, code: str, place: Place, message: str, *, key: bool = False, within: Place | None = None) -> None:
        """Adds a problem at a value, or at its key.

        Args:
            code: one of the problem codes.
            place: its place in the data.
            message: what is wrong, and how to fix it.
            key: whether the problem is about the key.
            within: the place to name in the message, when it is not `place`.
        """
        line, column = self.position(place, key=key)
        self.note(code, line, column, place if within is None else within, message)

    def warn(self, code: str, place: Place, message: str) -> None:
        """Adds a warning about the value at a place."""
        self.warnings.append(Problem(self.file, *self.position(place), code, spell(place), message))

    def note(self, code: str, line: int, column: int, place: Place, message: str) -> None:
        """Adds a problem at a line and column."""
        self.problems.append(Problem(self.file, line, column, code, spell(place), message))

    def position(self, place: Place, *, key: bool = False) -> Position:
        """Line and column of a value or its key; for a place that was not written, those of the nearest parent."""
        while place not in self._values:
            place = place[:-1]
        return self._keys.get(place, self._values[place]) if key else self._values[place]

    def at(self, place: Place) -> Any:
        """The value at an existing place."""
        value = self.data
        for part in place:
            value = value[part]
        return value

    def position_in_text(self, place: Place, part: str) -> Position:
        """Line and column of a part of a scalar's text; those of the scalar where the part cannot be found in it."""
        node = self._nodes.get(place)
        if node is None:
            return self.position(place)
        start = node.start_mark
        text = self._shield.original(self._shield.text[start.index : node.end_mark.index])
        at = text.find(part)
        if at < 0:
            return self.position(place)
        line = text.count("\n", 0, at)
        # On the first line of the scalar, columns count from the scalar's own.
        column = at - text.rfind("\n", 0, at) if line else start.column + 1 + at
        return start.line + 1 + line, column

    def source(self, place: Place) -> str:
        """` (filled from ${NAME})` for a place that contains a variable, otherwise nothing. Problems name the variable
        and not its value, which may be a secret in the wrong place.
        """
        names = dict.fromkeys(name for name, _ in self.filled.get(place, ()))
        return f" (filled from {', '.join(f'${{{name}}}' for name in names)})" if names else ""

    def is_broken(self, place: Place) -> bool:
        """Whether a problem at the place, or around it, is already reported."""
        return any(place[:length] in self.broken for length in range(len(place) + 1))

    def holds_broken(self, place: Place) -> bool:
        """Whether a problem at the place, or inside it, is already reported."""
        return any(broken[: len(place)] == place for broken in self.broken)

    def parse(self, text: str) -> None:
        """Parses the text into the document."""
        self._shield = Shield(text)
        try:
            root = compose(self._shield)
        except SyntaxProblem as problem:
            self.note(problem.code, problem.line, problem.column, (), str(problem))
            return
        if root is None:
            self.note("missing-key", 1, 1, (), "the file is empty; start it with 'version: 1'")
            return
        data = self._construct(root, (), ())
        if data is None and not self.problems:
            self.note("missing-key", 1, 1, (), "the file has no content; start it with 'version: 1'")
        elif len(self._values) <= MAX_NODES and self._merged <= MAX_MERGED:
            self.data = data

    def _construct(self, node: yaml.Node, place: Place, above: tuple[int, ...]) -> Any:
        self._values[place] = _start(node)
        if len(self._values) > MAX_NODES:
            # Reported once, at the last value that is counted; every later call returns immediately.
            if len(self._values) == MAX_NODES + 1:
                message = f"aliases expand the file to more than {MAX_NODES:,} values; write the values out"
                self.problem("yaml-feature", place, message)
            return None
        if node.tag not in IMPLICIT:
            return self._refuse(place, f"the tag {_tag(node)} is not supported; remove it")
        if len(above) > MAX_DEPTH:
            return self._refuse(place, f"the nesting is deeper than {MAX_DEPTH} levels; make it flatter")
        if id(node) in above:
            return self._refuse(place, "this anchor contains an alias to itself; write the values out")
        if isinstance(node, yaml.MappingNode):
            made: dict[str, Any] = {}
            self._pairs(node, made, place, (*above, id(node)), set())
            return made
        if isinstance(node, yaml.SequenceNode):
            inside = (*above, id(node))
            return [self._construct(item, (*place, index), inside) for index, item in enumerate(node.value)]
        self._nodes[place] = node
        return self._scalar(node, place)

    def _scalar(self, node: yaml.Node, place: Place) -> Any:
        text = self._shield.original(node.value)
        if any("\ud800" <= char <= "\udfff" for char in text):
            return self._refuse(
                place, "half of a surrogate pair is no character; write both halves, or the character itself"
            )
        if not _is_plain(node):
            return text
        value = resolve(text)
        if isinstance(value, float) and not math.isfinite(value):
            return self._refuse(place, f"JSON has no number {text}; write a finite one, or a string in quotes")
        return value

    def _refuse(self, place: Place, message: str) -> None:
        self.problem("yaml-feature", place, message)
        self.broken.add(place)

    def _pairs(
        self, node: yaml.MappingNode, made: dict[str, Any], place: Place, above: tuple[int, ...], seen: set[int]
    ) -> None:
        """Adds a mapping's own pairs, then the pairs that it merges: its own have precedence, then the first merged.

        `seen` has the mappings that were already merged into `made`; merging one again adds nothing.
        """
        merged: list[yaml.Node] = []
        before = set(made)
        for key_node, value_node in node.value:
            if _is_plain(key_node) and key_node.value == _INDICATOR:
                if merged:
                    self.note("duplicate-key", *_start(key_node), place, "'<<' is used twice; write <<: [*one, *other]")
                    continue
                merged = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                continue
            key = self._key(key_node, place)
            if key is None or key in before:
                continue
            here = (*place, key)
            if key in made:
                message = f"{key!r} is already defined on line {self._keys[here][0]}; remove one of them"
                self.note("duplicate-key", *_start(key_node), place, message)
                continue
            self._keys[here] = _start(key_node)
            made[key] = self._construct(value_node, here, above)
        for source in merged:
            if id(source) in seen or self._merged > MAX_MERGED:
                continue
            seen.add(id(source))
            sound = source.tag in IMPLICIT and id(source) not in above and len(above) <= MAX_DEPTH
            if not (sound and isinstance(source, yaml.MappingNode)):
                message = "'<<' accepts a mapping, or a list of mappings, none of which contains this one"
                self.note("yaml-feature", *_start(source), place, message)
                self.broken.add(place)
                continue
            self._merged += 1 + len(source.value)
            if self._merged > MAX_MERGED:
                message = f"'<<' expands the file by more than {MAX_MERGED:,} pairs; write the pairs out"
                self.problem("yaml-feature", place, message)
                self.broken.add(place)
                continue
            self._pairs(source, made, place, (*above, id(source)), seen)

    def _key(self, node: yaml.Node, place: Place) -> str | None:
        line, column = _start(node)
        if node.tag not in IMPLICIT:
            self.note("yaml-feature", line, column, place, f"the tag {_tag(node)} is not supported; remove it")
            return None
        if not isinstance(node, yaml.ScalarNode):
            self.note("bad-key", line, column, place, "this key is a list or a mapping; a key must be a string")
            return None
        text = self._shield.original(node.value)
        if _is_plain(node) and not isinstance(resolve(text), str):
            self.note("bad-key", line, column, place, f"the key {text} is not a string; write it in quotes: '{text}'")
            return None
        return text


def _start(node: yaml.Node) -> Position:
    return node.start_mark.line + 1, node.start_mark.column + 1


def _is_plain(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.style


def _tag(node: yaml.Node) -> str:
    standard = "tag:yaml.org,2002:"
    return f"!!{node.tag.removeprefix(standard)}" if node.tag.startswith(standard) else node.tag


def spell(place: Place) -> str:
    """A place as messages show it: `middleware[0].limit`."""
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text


def read_document(path: Path) -> Document:
    """The file as a document. Its errors are in `problems`; `data` may then be None."""
    document = Document(str(path))
    try:
        raw = path.read_bytes()
    except OSError as problem:
        reason = "there is no such file" if isinstance(problem, FileNotFoundError) else f"{problem.strerror}"
        document.note("unreadable", 1, 1, (), f"{reason}; name another file with --config PATH")
        return document
    except ValueError:
        # A path with a null character.
        document.note("unreadable", 1, 1, (), "this is not a path; name another file with --config PATH")
        return document
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        before = raw[: problem.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        document.note("unreadable", line, column, (), "the file is not UTF-8 text; save it as UTF-8")
        return document
    document.parse(text)
    return document
