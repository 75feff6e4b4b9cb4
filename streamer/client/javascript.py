"""Joins the modules of the JavaScript client into the one file that is served and copied. Run `python -m
streamer.client.javascript` after each change of `streamer/client/js/src`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "js"
_MADE: Final = "// Generated from the modules in src by `python -m streamer.client.javascript`: edit those.\n"
_IMPORT: Final = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORTED: Final = re.compile(r'^export \{ ([^}]*) \} from "\./(\w+)\.js";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=class|const|function|async)", re.MULTILINE)


def one_module(folder: Path, entry: str) -> str:
    """A module and its imports in one file, so that a page needs a single request.

    It supports the syntax of the client's own modules: names in braces, imported from and exported by modules of the
    same folder, and no duplicate names on the top level.

    Args:
        folder: of the modules.
        entry: the module that re-exports names of the others; it has no code of its own.
    """
    texts: dict[str, str] = {}

    def add(name: str) -> None:
        if name in texts:
            return
        text = (folder / f"{name}.js").read_text(encoding="utf-8")
        for needed in _IMPORT.findall(text):
            add(needed)
        texts[name] = _EXPORT.sub("", _IMPORT.sub("", text)).strip()

    about = (folder / f"{entry}.js").read_text(encoding="utf-8")
    exported = []
    for names, module in _EXPORTED.findall(about):
        add(module)
        exported.append(names)
    parts = [_EXPORTED.sub("", about).strip(), *texts.values(), f"export {{ {', '.join(exported)} }};\n"]
    return _MADE + "\n\n".join(parts)


if __name__ == "__main__":
    (FOLDER / "streamer.js").write_text(one_module(FOLDER / "src", "streamer"), encoding="utf-8")
