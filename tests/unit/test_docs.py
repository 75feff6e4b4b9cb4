"""Docs that cannot rot: every name that users may use is in them, and every link leads somewhere."""

from __future__ import annotations

import ast
import builtins
import functools
import importlib.util
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
from streamer.transports import close_codes

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


def test_every_close_code_is_documented():
    table = text("reference/messages.md").partition("| code | reason |")[2].partition("\n\n")[0]
    listed = {int(code) for line in table.splitlines() for code in re.findall(r"\d{4}", line.split("|")[1])[:2]}
    # 1000 only answers a client that closes the connection itself.
    assert listed | {close_codes.NORMAL} == {
        value for name, value in vars(close_codes).items() if isinstance(value, int) and name != "MAX_REASON"
    }


def test_every_command_is_documented():
    page = text("reference/command-line.md")
    assert [name for name in app.list_commands(None) if f"streamer {name}" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert broken == []


@functools.cache
def names_in_code():
    """Every package, module, class, function, method and field of streamer and its plugin, dotted from the class."""
    names = set()
    for folder in (ROOT / "streamer", ROOT / "plugins/aws/streamer_aws"):
        names.add(folder.name)
        for path in folder.rglob("*.py"):
            names.update(path.relative_to(folder).with_suffix("").parts)
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    names.add(node.name)
                elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    names.add(node.target.id)
    return names


def is_there(name, code):
    """Whether a name in backticks is that of a file, a command, something in the code, or what Python brings."""
    if name.startswith("streamer ") and name != "streamer ":
        return name.split()[1] in app.list_commands(None)
    if name.startswith("python -m "):
        return importlib.util.find_spec(name.split()[2]) is not None
    if name.startswith("streamer."):
        module = ROOT / name.replace(".", "/")
        return module.is_dir() or module.with_suffix(".py").is_file()
    path = name.removeprefix("python ")
    if "/" in path:
        return (ROOT / path).exists() or (ROOT / "streamer" / path).exists()
    return name in code or hasattr(builtins, name)


def test_every_name_on_the_page_about_the_architecture_exists():
    page = re.sub(r"```.*?```", "", text("explanation/architecture.md"), flags=re.DOTALL)
    code = names_in_code()
    named = re.findall(r"`([^`]+)`", page)
    assert len(named) > 50
    assert [name for name in named if not is_there(name, code)] == []
    (picture, _layers) = re.findall(r"```\n(.*?)```", text("explanation/architecture.md"), re.DOTALL)
    drawn = re.findall(r"engine/\w+\.py", picture)
    assert drawn
    assert [name for name in drawn if not is_there(name, code)] == []


@pytest.mark.parametrize(
    "name",
    [
        "engine/gone.py",
        "tests/unit/gone.py",
        "GoneClass",
        "streamer.gone",
        "streamer gone",
        "python docs/gone.py",
        "gone_function",
    ],
)
def test_a_name_that_is_gone_is_noticed(name):
    assert not is_there(name, names_in_code())


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
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    stale = [name for name, make in generate.PAGES.items() if text(name) != make()]
    assert stale == [], "run python docs/generate.py"
