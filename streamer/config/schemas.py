"""Reads and checks the JSON Schemas of actions, from files or the document, and collects the targets of their
`$ref`s.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from streamer.config.confinement import confinement
from streamer.config.document import Document, spell
from streamer.config.json_files import JsonFile, NotJson
from streamer.config.lint import describe, leaves
from streamer.config.paths import located
from streamer.config.patterns import MAX_REPEATS, repeats
from streamer.config.problems import Problem
from streamer.config.references import NOWHERE, References, Source
from streamer.config.sentences import HIDDEN, shown
from streamer.config.subschemas import Place, patterns, walk


class Compiled(Protocol):
    """A schema as the service uses it."""

    @property
    def lists_errors(self) -> bool:
        """Whether all errors of a small payload can be listed."""
        ...


Compile = Callable[[Any, Mapping[str, Any], str | None], Compiled]
"""Compiles a schema with its resources and base URI; raises ValueError when it cannot."""

_DRAFTS: Final = {
    "http://json-schema.org/draft-07/schema": "Draft7Validator",
    "https://json-schema.org/draft/2019-09/schema": "Draft201909Validator",
    "https://json-schema.org/draft/2020-12/schema": "Draft202012Validator",
}
"""Drafts by `$schema`, with their names in jsonschema."""
_UNBOUNDED: Final = {"look-around": re.compile(r"(?<!\\)\(\?<?[=!]"), "a back-reference": re.compile(r"\\[1-9k]")}
"""Features of ECMA-262 that can make one match take unbounded time."""
_UNLISTED: Final = (
    "the schema refers to itself inside alternatives (anyOf, oneOf), so only the errors of the best matching "
    "alternative are listed; add a constant that distinguishes the alternatives, such as a type, for better messages"
)
_URL: Final = re.compile(r"(?!file:)[a-z][a-z0-9+.-]+://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class LoadedSchema:
    """A schema of an action.

    Attributes:
        schema: the schema.
        path: the file that contains it: its own, or the configuration; None when a handler brought it.
        resources: the documents that its `$ref`s need, by absolute URI.
    """

    schema: Any = None
    path: Path | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)


class _InDocument:
    """A schema in the configuration."""

    def __init__(self, document: Document, base: Place) -> None:
        self._document = document
        self._base = base

    def note(self, code: str, place: Place, message: str) -> None:
        where = (*self._base, *place)
        if self._document.is_broken(where):
            return
        for _, value in self._document.filled.get(where, ()):
            message = message.replace(value, HIDDEN) if value else message
        self._document.problem(code, where, message + self._document.source(where))


class _InFile:
    """A schema in its own file. Problems are reported at its own lines, with the place that names it."""

    def __init__(self, document: Document, base: Place, name: str, file: JsonFile) -> None:
        self._document = document
        self._base = base
        self._name = name
        self._file = file

    def note(self, code: str, place: Place, message: str) -> None:
        line, column = self._file.position(place)
        self._document.problems.append(Problem(self._name, line, column, code, spell(self._base), message))


class _Brought:
    """A schema that a handler brings. Problems are reported at the line that names the handler."""

    def __init__(self, document: Document, base: Place, field_name: str) -> None:
        self._document = document
        self._base = base
        self._field = field_name

    def note(self, code: str, place: Place, message: str) -> None:
        where = "".join(f"/{part}" for part in place)
        text = f"the {self._field} of this handler, at '#{where}': {message}; this is a bug in the plugin"
        self._document.problem(code, self._base, text)


class SchemaReader:
    """Reads the schemas that a file names, and adds problems to the document.

    Args:
        document: of the file that names them.
        path: the file's absolute path; relative paths in it start from its folder.
        compile_schema: compiles a schema as the service will. None omits this check, which finds for example regular
            expressions that do not compile.
    """

    def __init__(self, document: Document, path: Path, compile_schema: Compile | None) -> None:
        self._document = document
        self._path = path
        self._compile = compile_schema
        self._unlisted = False
        self._files: dict[Path, JsonFile | NotJson | str] = {}
        self._confinement = confinement(path, document.data)

    def read(self, written: Any, place: Place) -> LoadedSchema:
        """A `schema` from the file: a path, or the schema itself."""
        if not isinstance(written, str):
            return self._checked(written, self._path, _InDocument(self._document, place), place)
        path = located(self._path.parent, written)
        # Reading a URL as a path would only report that there is no such file.
        opened = (
            "streamer never downloads schemas; copy it to a local file and name that file"
            if _URL.match(written)
            else self._open(path, place)
        )
        if isinstance(opened, str):
            source = self._document.source(place)
            self._document.problem("unreadable", place, f"{HIDDEN if source else written}: {opened}{source}")
        if not isinstance(opened, JsonFile):
            return LoadedSchema()
        return self._checked(opened.data, path, self._source(path, opened, place), place)

    def brought(self, schema: Any, field_name: str, place: Place) -> LoadedSchema:
        """The schema of the handler named at `place`; it is in no file."""
        return self._checked(schema, None, _Brought(self._document, place, field_name), place)

    def _checked(self, schema: Any, path: Path | None, source: Source, place: Place) -> LoadedSchema:
        before = len(self._document.problems)
        confined = self._confinement

        def open_file(path: Path, by: Source, at: Place, reference: str) -> tuple[JsonFile, Source] | None:
            nonlocal confined
            if "\0" in str(path):
                by.note("missing-reference", at, f"$ref {reference!r}: this is not a path")
                return None
            if isinstance(by, _InDocument):
                # In the configuration, it allows its folder, as the path of a schema does.
                confined = confined.widened(path)
            elif not confined.holds(path):
                by.note("outside-reference", at, _outside_sentence(reference))
                return None
            opened = self._open(path, place)
            if isinstance(opened, str):
                by.note("missing-reference", at, f"$ref {reference!r}: {opened}: {self._name(path)}")
            return (opened, self._source(path, opened, place)) if isinstance(opened, JsonFile) else None

        references = References(open_file)
        references.follow(NOWHERE if path is None else path.as_uri(), schema, source)
        drafts = [(resource, _draft(resource.schema, resource.source)) for resource in references.opened]
        sound = references.sound and all(draft is not None for _, draft in drafts)
        refused = self._refused(schema, references.resources, path)
        if self._unlisted:
            self._document.warn("unlisted-errors", place, _UNLISTED)
        if refused is None:
            self._warn_of_patterns([resource.schema for resource in references.opened], place)
        if self._compile is None or refused is not None or not sound:
            for resource, draft in drafts:
                if draft is not None:
                    _check_against(draft, resource.schema, resource.source)
                self._check_patterns(resource.schema, resource.source)
        if refused is not None and len(self._document.problems) == before and not self._document.holds_broken(place):
            source.note("bad-schema", (), f"it does not compile: {refused}")
        return LoadedSchema(schema, path, references.resources)

    def _warn_of_patterns(self, schemas: list[Any], place: Place) -> None:
        for part in (part for schema in schemas for _, part in walk(schema)):
            pattern = part.get("pattern")
            if isinstance(pattern, str) and "maxLength" not in part and repeats(pattern) > MAX_REPEATS:
                message = (
                    f"the pattern {shown(pattern)} has nested counts, so that some long strings take seconds to match"
                )
                self._document.warn("slow-pattern", place, f"{message}; add a maxLength to the schema")

    def _refused(self, schema: Any, resources: Mapping[str, Any], path: Path | None) -> str | None:
        """Why the schema does not compile; None when it does, or when this is unknown."""
        self._unlisted = False
        if self._compile is not None:
            try:
                compiled = self._compile(schema, resources, None if path is None else path.as_uri())
                self._unlisted = not compiled.lists_errors
            except ValueError as problem:
                return str(problem).strip().partition("\n")[0]
        return None

    def _check_patterns(self, schema: Any, source: Source) -> None:
        for place, part in walk(schema):
            for where, pattern in patterns(part):
                alone = {"pattern": pattern}
                if where == ("pattern",) and isinstance(part.get("maxLength"), int):
                    alone["maxLength"] = part["maxLength"]
                refused = self._refused(alone, {}, None)
                if refused is not None:
                    # A schema that compiles but is slow describes the problem itself.
                    slow = repeats(pattern) > MAX_REPEATS and refused.startswith("the pattern ")
                    source.note("bad-pattern", (*place, *where), refused if slow else _pattern_sentence(pattern))

    def _open(self, path: Path, place: Place) -> JsonFile | str | None:
        """A file, or why it cannot be read; None for one that is not JSON, which is then reported at its own line."""
        if path not in self._files:
            try:
                self._files[path] = JsonFile(path)
            except FileNotFoundError:
                self._files[path] = "there is no such file"
            except OSError as problem:
                self._files[path] = f"{problem.strerror}"
            except NotJson as problem:
                self._files[path] = problem
            except ValueError:
                self._files[path] = "this is not a path"
        found = self._files[path]
        if isinstance(found, NotJson):
            name = self._name(path)
            problem_place = spell(place)
            self._document.problems.append(
                Problem(name, found.line, found.column, "bad-schema", problem_place, str(found))
            )
            return None
        return found

    def _source(self, path: Path, file: JsonFile, place: Place) -> Source:
        return _InFile(self._document, place, self._name(path), file)

    def _name(self, path: Path) -> str:
        """The file's name in messages: relative in the same way as the configuration's name."""
        return os.path.normpath(Path(self._document.file).parent / os.path.relpath(path, self._path.parent))


def _outside_sentence(reference: str) -> str:
    return (
        f"$ref {reference!r} points outside the folders of the configuration and of the schemas that it names; "
        "move the file there, or name it in the configuration"
    )


def _draft(schema: Any, source: Source) -> str | None:
    """The draft that the schema declares; None for an unknown one, which is reported."""
    if not isinstance(schema, Mapping) or "$schema" not in schema:
        return "Draft202012Validator"
    said = schema["$schema"]
    draft = _DRAFTS.get(said.removesuffix("#")) if isinstance(said, str) else None
    if draft is None:
        message = f"$schema {shown(said)} is unknown; use one of {', '.join(_DRAFTS)}"
        source.note("bad-schema", ("$schema",), message)
    return draft


def _check_against(draft: str, schema: Any, source: Source) -> None:
    from streamer.config.violations import violations_of_draft  # noqa: PLC0415 - takes long to load, and is needed rarely

    try:
        found = violations_of_draft(schema, draft)
    except RecursionError:
        source.note("bad-schema", (), "it is nested too deeply")
        return
    for violation in found:
        for leaf in leaves(violation):
            source.note("bad-schema", tuple(leaf.absolute_path), f"not a JSON Schema: {describe(leaf)[1]}")


def _pattern_sentence(pattern: str) -> str:
    """Why a regular expression is refused, as far as its text shows."""
    start = f"the regular expression '{pattern}' cannot be used"
    found = [name for name, sign in _UNBOUNDED.items() if sign.search(pattern)]
    if found:
        return f"{start}: {' and '.join(found)} could stall the service; write it without"
    return f"{start}; write it as in ECMA-262, without very large counts, and check its brackets and backslashes"
