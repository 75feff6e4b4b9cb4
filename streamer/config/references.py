"""Resolves the `$ref`s of a JSON Schema. Only local files are read; nothing is downloaded."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote, unquote, urldefrag, urljoin, urlsplit

from streamer.config.applicable import pointed_at
from streamer.config.json_files import JsonFile
from streamer.config.subschemas import Place, walk

_REFERENCES: Final = ("$ref", "$dynamicRef")
_URI: Final = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]*")
NOWHERE: Final = "https://no-file.invalid/"
"""The base URI of schemas that are in no file; it cannot be reached (RFC 2606)."""
_DRAFTS: Final = ("https://json-schema.org/", "http://json-schema.org/")


class Source(Protocol):
    """The file or section that contains a schema, so that a problem can be reported at its line."""

    def note(self, code: str, place: Place, message: str) -> None:
        """Adds a problem at a place inside the schema."""
        ...


@dataclass(eq=False)
class Resource:
    """One document that contains schemas.

    Attributes:
        uri: its absolute address, without a fragment.
        schema: the whole document.
        source: reports its problems.
        parts: the schemas that have their own address, by address, including the whole document.
        anchors: the schemas that have a name, by base address and name.
        walked: identities of the schemas whose `$ref`s have been followed.
    """

    uri: str
    schema: Any
    source: Source
    parts: dict[str, Any] = field(default_factory=dict)
    anchors: set[tuple[str, str]] = field(default_factory=set)
    walked: set[int] = field(default_factory=set)


Open = Callable[[Path, Source, Place, str], "tuple[JsonFile, Source] | None"]
"""Reads a file that a `$ref` in a source names; on failure it adds a problem and returns None."""


class References:
    """Follows every `$ref` of one schema, through any number of files.

    Args:
        open_file: reads the files.

    Attributes:
        resources: the documents that the `$ref`s need in addition to the schema, by absolute URI.
        opened: the documents that were read for it, the schema's own first.
        sound: whether every `$ref` was resolved.
    """

    def __init__(self, open_file: Open) -> None:
        self._open = open_file
        self.resources: dict[str, Any] = {}
        self.opened: list[Resource] = []
        self.sound = True
        self._waiting: list[tuple[Resource, Any, Place, str]] = []

    def follow(self, uri: str, schema: Any, source: Source) -> None:
        """Reads everything that the schema refers to.

        Args:
            uri: the base of its relative `$ref`s.
            schema: the whole document.
            source: reports its problems.
        """
        self._index(uri, schema, source)
        # Grows during the loop: each file may name others.
        for resource in self.opened:
            self._waiting.append((resource, resource.schema, (), resource.uri))
            while self._waiting:
                self._walk(*self._waiting.pop())

    def _index(self, uri: str, schema: Any, source: Source) -> Resource:
        resource = Resource(uri, schema, source, {uri: schema})
        for _place, part, base in _with_bases(schema, (), uri):
            if isinstance(part.get("$id"), str):
                resource.parts.setdefault(base, part)
            resource.anchors.update((base, name) for name in _anchors(part))
        self.opened.append(resource)
        return resource

    def _walk(self, resource: Resource, schema: Any, start: Place, start_base: str) -> None:
        for place, part, base in _with_bases(schema, start, start_base):
            if id(part) in resource.walked:
                continue
            resource.walked.add(id(part))
            for keyword in _REFERENCES:
                reference = part.get(keyword)
                if isinstance(reference, str):
                    self._reference(reference, base, resource, (*place, keyword))

    def _reference(self, reference: str, base: str, resource: Resource, place: Place) -> None:
        address = _joined(base, reference)
        if address is None:
            right = quote(reference, safe="/#:?&=%~.,;@!$'()*+-_")
            fix = f"write {right!r}" if right != reference else "name a file, relative to this one"
            self._refuse(resource, "bad-schema", place, f"$ref {reference!r} is not a URI; {fix}")
            return
        target, fragment = urldefrag(address)
        if target.startswith(_DRAFTS) and target in (drafts := _schemas_of_schemas()):
            self.resources.update(drafts)
            return
        holder = self._holder(target, reference, resource, place)
        if holder is None:
            return
        if holder is not resource:
            self.resources.setdefault(target if target not in holder.parts else holder.uri, holder.schema)
        pointer = unquote(fragment)
        if not pointer or (target, pointer) in holder.anchors:
            return
        pointed = pointed_at(holder.parts.get(target, holder.schema), pointer) if pointer.startswith("/") else None
        if pointed is None:
            name = "" if reference.startswith("#") else f" in {unquote(urlsplit(target).path.rpartition('/')[2])}"
            message = f"$ref {reference!r}: nothing exists at '#{pointer}'{name}"
            self._refuse(resource, "missing-reference", place, message)
            return
        # A value below an unknown keyword becomes a schema when a $ref points to it.
        self._waiting.append((holder, pointed, _place_of(pointer), target))

    def _holder(self, target: str, reference: str, resource: Resource, place: Place) -> Resource | None:
        parts = urlsplit(target)
        path = Path(os.path.normpath(unquote(parts.path)))
        address = path.as_uri() if parts.scheme == "file" else target
        for known in self.opened:
            if target in known.parts or (address == known.uri and not parts.query):
                return known
        if parts.scheme != "file":
            self._refuse(resource, "remote-reference", place, _remote_sentence(reference, target))
            return None
        if parts.query:
            message = f"$ref {reference!r}: the address of a file has no '?'; write %3F for a ? in the file's name"
            self._refuse(resource, "missing-reference", place, message)
            return None
        opened = self._open(path, resource.source, place, reference)
        if opened is None:
            self.sound = False
            return None
        file, source = opened
        return self._index(address, file.data, source)

    def _refuse(self, resource: Resource, code: str, place: Place, message: str) -> None:
        self.sound = False
        resource.source.note(code, place, message)


@cache
def _schemas_of_schemas() -> Mapping[str, Any]:
    """The drafts' own schemas, the only network URIs that a `$ref` may use."""
    # The package is untyped, slow to import, and rarely needed.
    from jsonschema_specifications import REGISTRY  # type: ignore[import-untyped]  # noqa: PLC0415

    return {uri.removesuffix("#"): REGISTRY.contents(uri) for uri in REGISTRY}


def _remote_sentence(reference: str, target: str) -> str:
    if target.startswith(NOWHERE):
        return f"$ref {reference!r} is relative, but this schema is not in a file; write the schema out here"
    refused = "is not a local file, and streamer never downloads schemas"
    if urlsplit(reference).scheme:
        return f"$ref {reference!r} {refused}; copy it to a local file and name that file"
    fix = "without the $id it names a file next to this one"
    return f"$ref {reference!r}, which the schema's $id makes {target}, {refused}; {fix}"


def _joined(base: str, reference: str) -> str | None:
    """The absolute URI; None when the reference is not valid."""
    if not _URI.fullmatch(reference):
        return None
    if reference.startswith("#"):
        # urljoin supports relative references only for schemes that it knows, and a schema may be called urn:….
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError:
        return None


def _with_bases(schema: Any, start: Place, uri: str) -> list[tuple[Place, Mapping[str, Any], str]]:
    """Every subschema with its place and the base address of its relative `$ref`s."""
    bases: dict[Place, str] = {}
    found = []
    for place, part in walk(schema, start):
        above = (bases.get(place[:length]) for length in range(len(place) - 1, -1, -1))
        base = next((known for known in above if known is not None), uri)
        own = part.get("$id")
        if isinstance(own, str) and not own.startswith("#"):
            base = urldefrag(_joined(base, own) or base)[0]
        bases[place] = base
        found.append((place, part, base))
    return found


def _anchors(schema: Mapping[str, Any]) -> list[str]:
    own = schema.get("$id")
    named = [schema.get("$anchor"), schema.get("$dynamicAnchor")]
    # Draft 7 writes an anchor as an $id.
    draft_7 = [own[1:]] if isinstance(own, str) and own.startswith("#") else []
    return [name for name in named if isinstance(name, str)] + draft_7


def _place_of(pointer: str) -> Place:
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
