"""The page about writing a store shows code that exists, and names that exist."""

from __future__ import annotations

import re
from pathlib import Path

import streamer
import streamer.testing
from streamer.contracts.storage import Storage

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/how-to/write-a-store.md").read_text()
EXAMPLE = (ROOT / "docs/examples/jsonl_store.py").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_each_snippet_is_in_the_example_but_the_tests_which_can_be_compiled():
    *shown, tests = SNIPPETS
    assert [snippet for snippet in shown if snippet not in EXAMPLE] == []
    compile(tests, "the tests of the page", "exec")
    assert len(shown) == 5


def test_what_the_tests_import_exists():
    for place, names in re.findall(r"^from (streamer\S*) import (.*)$", SNIPPETS[-1], re.MULTILINE):
        module = {"streamer": streamer, "streamer.testing": streamer.testing}[place]
        assert [name for name in names.split(", ") if not hasattr(module, name)] == []


def test_the_page_names_every_method_of_a_storage_and_no_other():
    methods = [name for name in vars(Storage) if not name.startswith("_")]
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == methods
    assert len(methods) == 10


def test_the_example_is_as_short_as_the_page_says():
    assert len(EXAMPLE.splitlines()) < 230
