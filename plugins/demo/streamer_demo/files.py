"""Writes files atomically, and creates folders for requests."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from streamer import Request

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_LONGEST_NAME = 48


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary file next to `path` that replaces it when the block succeeds, and is removed otherwise.

    Readers of `path` see the old file or the new one, never a part; two writers do not affect each other.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    temporary = Path(name)
    try:
        os.close(descriptor)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_unfinished(folder: Path) -> None:
    """Removes the temporary files that a killed run left in a request's folder."""
    for left in folder.glob(".*"):
        left.unlink(missing_ok=True)


def request_key(request: Request) -> str:
    """The same for every run of one request, and different for any two requests: an id is unique only per owner."""
    return hashlib.sha256(f"{request.owner}\0{request.action}\0{request.id}".encode()).hexdigest()[:32]


def request_folder(parent: Path, request: Request) -> Path:
    """A folder for the files of one request: a part of its id, for people, and a part of its key."""
    name = _UNSAFE.sub("-", request.id)[:_LONGEST_NAME].strip("-")
    return parent / f"{name or 'request'}-{request_key(request)[:12]}"
