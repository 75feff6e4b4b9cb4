"""Docs that cannot rot: every name that users may use is in them, and every link leads somewhere."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import yaml

import streamer
import streamer.testing
from streamer.cli.app import app
from streamer.core.errors import CODES
from streamer.engine.service_actions import service_routes
from streamer.plugins import hookspecs
from streamer.stores.memory import MemoryStore
from streamer.testing import ManualClock

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    *sorted(DOCS.rglob("*.md")),
    ROOT / "README.md",
    ROOT / "plugins/demo/README.md",
    ROOT / "plugins/aws/README.md",
    ROOT / "benchmarks/README.md",
]


def text(name):
    return (DOCS / name).read_text()


def test_every_public_name_is_documented():
    page = text("reference/python.md")
    assert [name for name in streamer.__all__ if f"`{name}`" not in page and name != "__version__"] == []
    assert [name for name in streamer.testing.__all__ if f"`{name}`" not in page] == []


def test_every_hook_is_documented():
    hooks = [
        name for name, value in vars(hookspecs).items() if inspect.isfunction(value) and name.startswith("streamer_")
    ]
    assert len(hooks) == 5
    assert [name for name in hooks if f"`{name}`" not in text("reference/hooks.md")] == []


def test_every_service_action_and_every_error_code_is_documented():
    page = text("reference/messages.md")
    clock = ManualClock()
    assert [
        name
        for name in service_routes({}, MemoryStore(clock), None, None, clock=clock, logger=None)
        if f"`{name}`" not in page
    ] == []
    assert [code for code in CODES if f"`{code}`" not in page] == []


def test_every_command_is_documented():
    page = text("reference/command-line.md")
    assert [name for name in app.list_commands(None) if f"streamer {name}" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_yaml_example_is_yaml(page):
    for block in re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL):
        assert yaml.safe_load(block) is not None


def test_the_readmes_commands_are_one_line_each():
    readme = (ROOT / "README.md").read_text()
    for name in ("run", "tests"):
        block = re.search(rf"<!-- {name} -->\n```sh\n(.*?)```\n<!-- /{name} -->", readme, re.DOTALL)
        assert block is not None
        assert block[1].count("\n") == 1


def test_no_generated_page_is_stale():
    import importlib.util

    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    stale = [name for name, make in generate.PAGES.items() if text(name) != make()]
    assert stale == [], "run python docs/generate.py"
