"""The JavaScript client, served on the WebSocket's own port so that a page has no other place to take it from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Final, NamedTuple

_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORTED: Final = re.compile(r'^export \{ ([^}]*) \} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=class|const|function|async)", re.MULTILINE)


class ClientFile(NamedTuple):
    """One file as it goes out."""

    text: str
    etag: str
    """Strong, of the text alone: the same in every process of the same version."""


NONE: Final[Mapping[str, ClientFile]] = MappingProxyType({})


def load() -> Mapping[str, ClientFile]:
    """The files by the path that they are served at: the client as one module, and its types."""
    folder = files("streamer.client") / "js"

    def read(name: str) -> str:
        return (folder / name).read_text(encoding="utf-8")

    texts = {"streamer.js": one_module(read, "streamer"), "streamer.d.ts": read("streamer.d.ts")}
    return {
        f"/{name}": ClientFile(text, f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"')
        for name, text in texts.items()
    }


def one_module(read: Callable[[str], str], entry: str) -> str:
    """A module and all that it imports, one after the other: a browser that loads it makes one request.

    It understands what the client's own modules use: names in braces, imported from and exported by modules of the
    same folder, and no name twice on the top level.

    Args:
        read: the text of a file.
        entry: the module that exports what others have; it has no code of its own.
    """
    texts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in texts:
            return
        text = read(f"{name}.js")
        for needed in _IMPORT.findall(text):
            add(needed)
        texts[name] = _EXPORT.sub("", _IMPORT.sub("", text)).strip()

    about = read(f"{entry}.js")
    exported = []
    for names, module in _EXPORTED.findall(about):
        add(module)
        exported.append(names)
    return "\n\n".join([_EXPORTED.sub("", about).strip(), *texts.values(), f"export {{ {', '.join(exported)} }};\n"])


def unchanged(if_none_match: str | None, etag: str) -> bool:
    """Whether the browser has it already (RFC 9110, section 13.1.2: the comparison is weak)."""
    if if_none_match is None:
        return False
    known = [one.strip().removeprefix("W/") for one in if_none_match.split(",")]
    return etag in known or "*" in known
