"""The house's own rules: floors, sizes, one clock, docstrings. A rule that nothing enforces is a wish."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

import pytest

import streamer

ROOT = Path(streamer.__file__).parent
FLOORS = {
    "core": 0,
    "contracts": 1,
    "client": 1,  # it imports only core, so whoever is above may speak through it
    "config": 2,
    "plugins": 2,
    "children": 2,
    "engine": 3,
    "stores": 3,
    "connections": 3,
    "transports": 3,
    "middlewares": 3,
    "handlers": 3,
    "runtime": 4,
    "cli": 5,
    "testing": 5,
}
MODULES = sorted(ROOT.rglob("*.py"))

TIME_SOURCES = {
    ("time", "time"),
    ("time", "monotonic"),
    ("time", "sleep"),
    ("time", "time_ns"),
    ("time", "perf_counter"),
    ("asyncio", "sleep"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
}
MAY_READ_TIME = {
    "core/clock.py": "it is the clock",
    "core/ids.py": "ids sort by the machine's time and promise nothing about it",
    "stores/sqlite/database.py": "waits for the lock of a dying process, before there is a service",
    "stores/sqlite/store.py": "waits before it starts another process; the service's time plays no part",
    "testing/clock.py": "asyncio.sleep(0) gives way to others; no time passes",
}


def imports(path):
    """Every package of ours that a module imports, lazily or not, and for types only as well."""
    package = path.relative_to(ROOT.parent).with_suffix("").parts
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: -node.level]) + "." if node.level else ""
            names = [f"{base}{node.module or ''}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "streamer" and len(parts) > 1 and parts[1] in FLOORS:
                yield node.lineno, parts[1]


def name_of(path):
    return str(path.relative_to(ROOT))


def test_every_package_has_its_floor():
    packages = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert packages == set(FLOORS)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_from_lower_floors_or_its_own_package(path):
    own = path.relative_to(ROOT).parts[0]
    if own not in FLOORS:
        return
    wrong = [
        f"{name_of(path)}:{line} imports {package}"
        for line, package in imports(path)
        if package != own and FLOORS[package] >= FLOORS[own]
    ]
    assert wrong == []


def test_the_client_imports_only_core():
    used = {package for path in (ROOT / "client").rglob("*.py") for _, package in imports(path)}
    assert used <= {"client", "core"}


def test_files_stay_small():
    sizes = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: size for name, size in sizes.items() if size > 500} == {}
    assert statistics.median(sizes.values()) < 150


def test_nothing_but_the_clock_reads_the_time_or_sleeps():
    found = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if (node.value.id, node.attr) in TIME_SOURCES:
                    found.setdefault(name_of(path), []).append(node.lineno)
            elif isinstance(node, ast.ImportFrom) and node.module == "time":
                found.setdefault(name_of(path), []).append(node.lineno)
    assert {name: lines for name, lines in found.items() if name not in MAY_READ_TIME} == {}
    assert set(MAY_READ_TIME) <= set(found), "an exception that nobody needs any more"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or path.name == "__main__.py"


@pytest.mark.parametrize("library", ["pluggy", "jsonschema_rs", "picows", "aiohttp", "structlog", "rich"])
def test_a_library_has_few_importers(library):
    allowed = {
        "pluggy": {"plugins"},
        "jsonschema_rs": {"engine"},
        "picows": {"transports", "client"},
        "aiohttp": {"handlers"},
        "structlog": {"runtime", "engine"},
        "rich": {"cli"},
    }[library]
    users = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else []
            )
            if any(name.split(".")[0] == library for name in names):
                users.add(path.relative_to(ROOT).parts[0])
    assert users <= allowed
