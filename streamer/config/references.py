"""The JSON Schemas of actions: read, checked, and their `$ref`s to files gathered. Nothing is ever fetched."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator, validator_for

from streamer.config.document import Document, Path_
from streamer.config.problems import Problem

METASCHEMAS: Final = ("http://json-schema.org/", "https://json-schema.org/")

Compile = Callable[[Any, Mapping[str, Any], str | None], Any]
"""Compiles a schema with its resources and base URI; raises ValueError when it cannot."""


class SchemaReader:
    """Reads the schemas that a file names. Problems go to the document.

    Args:
        document: of the file that names them.
        base_dir: what relative paths are relative to.
        compile_schema: tries whether a schema compiles for the validator that will be used; None leaves that out.
    """

    def __init__(self, document: Document, base_dir: Path, compile_schema: Compile | None) -> None:
        self._document = document
        self._base_dir = base_dir
        self._compile = compile_schema
        self._files: dict[Path, Any] = {}

    def read(self, value: Any, path: Path_) -> tuple[Any, Path | None, dict[str, Any]]:
        """A `schema` as written to the schema itself, where it came from, and what its `$ref`s need, by URI."""
        if not isinstance(value, str):
            base = self._base_dir / Path(self._document.file).name
            return self._checked(value, base, path, inline=True)
        file = (self._base_dir / value).resolve()
        schema = self._load(file, path)
        return (None, None, {}) if schema is None else self._checked(schema, file, path, inline=False)

    def brought(self, schema: Any, path: Path_) -> Any:
        """A schema that a handler brings: checked like one of the file."""
        return self._checked(schema, self._base_dir / Path(self._document.file).name, path, inline=True)[0]

    def _checked(
        self, schema: Any, file: Path, path: Path_, *, inline: bool
    ) -> tuple[Any, Path | None, dict[str, Any]]:
        try:
            validator_for(schema, default=Draft202012Validator).check_schema(schema)
        except SchemaError as problem:
            at = (*path, *problem.absolute_path) if inline else path
            where = "" if inline else f"{file.name}#/{'/'.join(map(str, problem.absolute_path))}: "
            self._document.problem("bad-schema", at, f"{where}{problem.message}; it is not a valid JSON Schema")
            return None, None, {}
        resources: dict[str, Any] = {}
        before = len(self._document.problems)
        self._follow(schema, file.as_uri(), resources, path)
        if self._compile is not None and len(self._document.problems) == before:
            try:
                self._compile(schema, resources, file.as_uri())
            except ValueError as problem:
                self._document.problem("bad-schema", path, f"it cannot be compiled: {_one_line(problem)}")
        return schema, file, resources

    def _follow(self, schema: Any, base: str, resources: dict[str, Any], path: Path_) -> None:
        if isinstance(schema, list):
            for item in schema:
                self._follow(item, base, resources, path)
            return
        if not isinstance(schema, Mapping):
            return
        own = schema.get("$id")
        if isinstance(own, str):
            base = urljoin(base, own)
        for keyword in ("$ref", "$dynamicRef"):
            reference = schema.get(keyword)
            if isinstance(reference, str):
                self._reference(reference, base, resources, path)
        for key, item in schema.items():
            if key not in ("enum", "const", "default", "examples"):
                self._follow(item, base, resources, path)

    def _reference(self, reference: str, base: str, resources: dict[str, Any], path: Path_) -> None:
        target, _ = urldefrag(urljoin(base, reference))
        if not reference or reference.startswith("#") or target in resources or target.startswith(METASCHEMAS):
            return
        parts = urlsplit(target)
        if parts.scheme != "file":
            if not any(target == urldefrag(known)[0] for known in resources):
                self._document.problem(
                    "remote-reference", path, f"$ref {reference!r} is not a local file; copy the schema beside this one"
                )
            return
        file = Path(unquote(parts.path))
        if target == urldefrag(base)[0]:
            return
        if not file.is_file():
            self._document.problem("missing-reference", path, f"$ref {reference!r}: there is no file {file}")
            return
        loaded = self._load(file, path)
        if loaded is not None:
            resources[target] = loaded
            self._follow(loaded, target, resources, path)

    def _load(self, file: Path, path: Path_) -> Any:
        if file in self._files:
            return self._files[file]
        schema: Any = None
        try:
            schema = json.loads(file.read_bytes().decode("utf-8-sig"))
        except OSError as problem:
            reason = "there is no such file" if isinstance(problem, FileNotFoundError) else problem.strerror
            self._document.problem("missing-reference", path, f"{file}: {reason}")
        except UnicodeDecodeError:
            self._document.problem("bad-schema", path, f"{file} is not UTF-8 text")
        except json.JSONDecodeError as problem:
            self._document.problems.append(
                Problem(str(file), problem.lineno, problem.colno, "bad-schema", "", f"it is not JSON: {problem.msg}")
            )
        except (ValueError, RecursionError) as problem:
            self._document.problem("bad-schema", path, f"{file} is not usable JSON: {_one_line(problem)}")
        self._files[file] = schema
        return schema


def _one_line(problem: Exception) -> str:
    return str(problem).strip().partition("\n")[0]
