"""The one file of the JavaScript client, which is made of its modules."""

from __future__ import annotations

import re
from collections import Counter

from streamer.client.javascript import FOLDER, one_module

MADE = (FOLDER / "streamer.js").read_text()


def test_the_file_is_made_of_the_modules_as_they_are():
    assert one_module(FOLDER / "src", "streamer") == MADE, "run: python -m streamer.client.javascript"


def test_it_imports_nothing_and_exports_what_the_modules_do():
    assert re.findall(r"^(?:import|export)\b.*", MADE, re.MULTILINE) == [
        "export { StreamerClient, ConnectionLost, MessageTooLarge, NotAnswered, StreamerError };"
    ]


def test_it_holds_every_module_once_and_no_name_twice():
    declared = re.findall(r"^(?:class|const|function|async function) (\w+)", MADE, re.MULTILINE)
    assert [name for name, times in Counter(declared).items() if times > 1] == []
    for path in (FOLDER / "src").glob("*.js"):
        text = path.read_text()
        assert path.name == "streamer.js" or MADE.count(text.split("\n", 1)[0]) == 1, path.name
        assert len(text.splitlines()) < 300, path.name
