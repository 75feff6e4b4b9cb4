"""Rules of this project: layers, sizes, one clock, docstrings. A rule that nothing enforces is a wish."""

from __future__ import annotations

import ast
import functools
import re
import statistics
from pathlib import Path

import pytest

import streamer

ROOT = Path(streamer.__file__).parent
LAYERS = {
    "core": 0,
    "contracts": 1,
    "streams": 1,
    "client": 1,  # it imports only core, so that every layer above may use it
    "config": 2,
    "plugins": 2,
    "queue": 2,
    "subprocesses": 2,
    "engine": 3,
    "stores": 3,
    "connections": 3,
    "transports": 3,
    "middlewares": 3,
    "handlers": 3,
    "auth": 3,
    "admin": 4,  # it wraps parts of the engine and of the transports; the runtime decides whether it is there
    "runtime": 5,
    "testing": 6,
    "cli": 7,  # the way in: it starts all the others
}
AWS = ROOT.parent / "plugins/aws/streamer_aws"
"""Our own plugin, which keeps the same rules; it is read where it lies, installed or not."""
LAYERS_OF_AWS = {
    "dynamodb": 0,
    "store": 1,
    "connections": 1,
    "functions": 2,
    "sam": 2,
    "emulator": 3,
    "commands": 4,
}
USED_BY_AWS = {
    # What every plugin may use.
    "contracts",
    "core",
    "plugins.hookspecs",
    # The file and what is installed, for the export.
    "config.document",
    "config.paths",
    "config.settings",
    "plugins.registry",
    # A service in a process that another platform starts, for the functions.
    "engine.attempt_states",
    "engine.boundary",
    "engine.connection_ends",
    "engine.delivery",
    "engine.events",
    "engine.orphans",
    "engine.outcomes",
    "engine.routes",
    "engine.timeouts",
    "engine.worker",
    "runtime.assembly",
    "runtime.logs",
    "runtime.event_loop",
    "runtime.configuration",
    "runtime.signals",
    # What a handshake shows, which is the same behind any gateway.
    "transports.admission",
    "transports.answers",
    "transports.credentials",
    "transports.handshake",
    # Fair turns and the errors of a full queue.
    "queue.common",
    "queue.fairness",
    # Options and output of a command.
    "cli.options",
    "cli.output",
    "cli.config_file",
    "streams.standard",
}
"""Packages and modules of streamer that the plugin imports; what is not named here it must do without."""
MODULES = sorted(ROOT.rglob("*.py"))
AWS_MODULES = sorted(AWS.rglob("*.py"))
EVERY_MODULE = [*MODULES, *AWS_MODULES]
NAMES_OF_MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__") for path in MODULES
} - {"streamer"}

BACKENDS = {"memory", "sqlite", "local", "dynamodb", "apigateway"}
"""Names that only whoever declares them may know: what a backend can do, its component says."""

TIME_SOURCES = {
    ("time", "time"),
    ("time", "monotonic"),
    ("time", "sleep"),
    ("time", "time_ns"),
    ("time", "perf_counter"),
    ("asyncio", "sleep"),
    ("datetime", "now"),
    ("datetime", "utcnow"),
    ("date", "today"),
    ("datetime", "today"),
    ("loop", "time"),
}
MAY_READ_TIME = {
    "core/clock.py": "it is the clock",
    "core/ids.py": "ids sort by the machine's time and promise nothing about it",
    "stores/sqlite/service_lock.py": "waits for the lock of a dying process, before there is a service",
    "stores/sqlite/writer_process.py": "waits before it starts another process; the service's time plays no part",
    "testing/clock.py": "asyncio.sleep(0) gives way to others; no time passes",
}


parsed = functools.cache(ast.parse)


def imports(source, path):
    """Every package of ours that a module's text imports: lazily, for types only, or by a name in a string as well."""
    package = path.relative_to(ROOT.parent).with_suffix("").parts
    for node in nodes(source):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = [*(package[: -node.level] if node.level else ()), *([node.module] if node.module else ())]
            names = [".".join([*base, alias.name]) for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0]
            names = [name] if name in NAMES_OF_MODULES else []
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] != "streamer" or len(parts) == 1:
                continue
            # A public name is imported from where it stands, even through the front door.
            place = streamer._PLACES.get(parts[1], parts[1]).split(".")[0]
            if place in LAYERS:
                yield node.lineno, place


def name_of(path):
    return str(path.relative_to(AWS.parent if path.is_relative_to(AWS) else ROOT))


@functools.cache
def nodes(source):
    """Every node of a module's text."""
    return tuple(ast.walk(parsed(source)))


@functools.cache
def imports_of(path):
    """The top-level names of what a module imports from elsewhere."""
    names = set()
    for node in nodes(path.read_text()):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add((node.module or "").split(".")[0])
    return names


def imported(source):
    """Every dotted name that a module's text imports, in any way."""
    for node in nodes(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            name = node.value.partition(":")[0]
            if name in NAMES_OF_MODULES or name.startswith("streamer_aws."):
                yield name


def of_streamer(name):
    """The part after `streamer.` of what is imported, through the front door as well; None for anything else."""
    first, _, rest = name.partition(".")
    return streamer._PLACES.get(rest, rest) if first == "streamer" and rest else None


def test_no_module_knows_the_plugin_for_aws():
    knowing = {
        name_of(path): [name for name in imported(path.read_text()) if name.partition(".")[0] == "streamer_aws"]
        for path in MODULES
    }
    assert {name: imports for name, imports in knowing.items() if imports} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import streamer_aws",
        "from streamer_aws import Sandbox",
        "def f():\n    from streamer_aws.store import store",
        "if TYPE_CHECKING:\n    import streamer_aws.plugin",
        "import_module('streamer_aws.plugin')",
    ],
)
def test_no_way_of_knowing_the_plugin_goes_unseen(source):
    assert "streamer_aws" in {name.partition(".")[0] for name in imported(source)}


@pytest.mark.parametrize(
    ("source", "used"),
    [
        ("from streamer.engine import pipeline", "engine.pipeline"),
        ("from streamer import Router", "engine.router"),
        ("def f():\n    import streamer.config.linter", "config.linter"),
        ("import_module('streamer.runtime.serve')", "runtime.serve"),
    ],
)
def test_no_way_of_using_the_core_goes_unseen(source, used):
    (name,) = imported(source)
    assert of_streamer(name) == used


def test_the_plugin_for_aws_uses_what_is_listed_here():
    used = {rest for path in AWS_MODULES for name in imported(path.read_text()) if (rest := of_streamer(name))}
    within = {name: {rest for rest in used if f"{rest}.".startswith(f"{name}.")} for name in USED_BY_AWS}
    assert sorted(used.difference(*within.values())) == []
    assert [name for name, rests in within.items() if not rests] == [], "listed, and not used any more"


def test_a_module_of_the_plugin_imports_only_from_lower_layers_or_its_own_package():
    climbing_ones = []
    for path in AWS_MODULES:
        own = path.relative_to(AWS).parts[0]
        layer = LAYERS_OF_AWS.get(own, len(LAYERS_OF_AWS))  # the ways in: `__init__` and `plugin`
        for name in imported(path.read_text()):
            first, _, rest = name.partition(".")
            package = rest.partition(".")[0]
            if first == "streamer_aws" and package != own and LAYERS_OF_AWS.get(package, 0) >= layer:
                climbing_ones.append(f"{name_of(path)} imports {name}")
    assert climbing_ones == []


def test_every_package_of_the_plugin_has_its_layer():
    packages = {path.name for path in AWS.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert packages == set(LAYERS_OF_AWS)


def test_every_package_has_its_layer():
    packages = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert packages == set(LAYERS)


def test_the_page_about_the_architecture_draws_these_layers():
    page = (ROOT.parent / "docs/explanation/architecture.md").read_text()
    (_picture, drawn) = re.findall(r"```\n(.*?)```", page, re.DOTALL)
    lines = [set(line.split()) for line in reversed(drawn.splitlines())]
    layers = [{name for name, layer in LAYERS.items() if layer == number} for number in range(max(LAYERS.values()) + 1)]
    assert lines == layers


def test_a_module_imports_only_from_lower_layers_or_its_own_package():
    layered = [path for path in MODULES if path.relative_to(ROOT).parts[0] in LAYERS]
    assert [found for path in layered for found in climbing(path.read_text(), path)] == []


def climbing(source, path):
    own = path.relative_to(ROOT).parts[0]
    return [
        f"{name_of(path)}:{line} imports {package}"
        for line, package in imports(source, path)
        if package != own and LAYERS[package] >= LAYERS[own]
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import streamer.runtime.serve",
        "from streamer.runtime import serve",
        "from streamer import runtime",
        "from ..runtime import serve",
        "from .. import runtime",
        "from streamer.stores.memory import MemoryStore",
        "from streamer import EchoHandler",
        "def f():\n    from streamer import logging_middleware",
        "if TYPE_CHECKING:\n    from streamer.stores.memory import MemoryStore",
        "import_module('streamer.runtime.serve')",
        "Child('streamer.stores.sqlite.writer:main')",
    ],
)
def test_no_way_of_climbing_goes_unseen(source):
    assert climbing(source, ROOT / "engine" / "codec.py")


@pytest.mark.parametrize(
    "source",
    [
        "from streamer import Error, Router",
        "from . import router",
        "import streamer",
        "logger = 'streamer'",
        "import ast",
    ],
)
def test_what_stays_below_is_allowed(source):
    assert climbing(source, ROOT / "engine" / "codec.py") == []


def test_the_client_imports_only_core():
    used = {package for path in (ROOT / "client").rglob("*.py") for _, package in imports(path.read_text(), path)}
    assert used <= {"client", "core"}


def test_the_core_says_nothing_of_aws_beyond_the_original_way_in():
    said = re.compile(r"\baws\b|dynamo|api.?gateway|boto", re.IGNORECASE)
    talking = {name_of(path) for path in MODULES if said.search(path.read_text())}
    # `Router.route` is the original system's; and somebody must say what to install. A client meets whatever service.
    allowed = {"engine/router.py", "engine/events.py", "testing/events.py", "contracts/extras.py"}
    assert {name for name in talking if not name.startswith("client/")} == allowed


def comparisons_of_backends(source):
    """Lines that compare something with a backend's name, or look it up in a table of them."""
    for node in nodes(source):
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.match_case):
            parts = [node.pattern]
        else:
            continue
        texts = {each.value for part in parts for each in ast.walk(part) if isinstance(each, ast.Constant)}
        if texts & BACKENDS:
            yield getattr(node, "lineno", 0)


def test_no_module_compares_a_backends_name():
    found = {name_of(path): list(comparisons_of_backends(path.read_text())) for path in MODULES}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "use.name == 'sqlite'",
        "'dynamodb' != settings.backends.store.name",
        "name in ('memory', 'local')",
        "match name:\n    case 'apigateway':\n        pass",
    ],
)
def test_no_comparison_of_a_backends_name_goes_unseen(source):
    assert list(comparisons_of_backends(source))


def test_files_stay_small():
    sizes = {name_of(path): len(path.read_text().splitlines()) for path in EVERY_MODULE}
    assert {name: size for name, size in sizes.items() if size > 400} == {}
    assert statistics.median(sizes.values()) < 110


NAMED_AFTER_A_NOUN = {"framing", "logging", "mapping", "messaging", "pacing", "provisioning", "throttling", "timing"}
"""Words that end as a verb's form does, and that the field uses as nouns."""


def test_a_module_is_named_by_what_it_holds_and_not_by_what_is_done_in_it():
    # `sending` has the name of the same module of the JavaScript client.
    names = {name_of(path): path.stem.rpartition("_")[2] for path in EVERY_MODULE if path.stem != "sending"}
    assert [name for name, word in names.items() if word.endswith("ing") and word not in NAMED_AFTER_A_NOUN] == []


def readings_of_time(source):
    """Lines that read the time or sleep, or that import something that does under a name that hides it."""
    for node in nodes(source):
        if isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
            if (owner.lstrip("_"), node.attr) in TIME_SOURCES:
                yield node.lineno
        elif isinstance(node, ast.ImportFrom):
            names = {alias.name for alias in node.names}
            hidden = {alias.name for alias in node.names if alias.asname}
            slept = node.module == "asyncio" and "sleep" in names
            if node.module == "time" or slept or (node.module == "datetime" and hidden):
                yield node.lineno
        elif isinstance(node, ast.Import) and any(
            alias.asname and alias.name in {"time", "asyncio", "datetime"} for alias in node.names
        ):
            yield node.lineno


def test_nothing_but_the_clock_reads_the_time_or_sleeps():
    found = {name_of(path): lines for path in EVERY_MODULE if (lines := list(readings_of_time(path.read_text())))}
    assert {name: lines for name, lines in found.items() if name not in MAY_READ_TIME} == {}
    assert set(MAY_READ_TIME) <= set(found), "an exception that nobody needs any more"


@pytest.mark.parametrize(
    "source",
    [
        "time.monotonic()",
        "started = time.perf_counter",
        "from time import time",
        "import time as clock",
        "from asyncio import sleep",
        "await asyncio.sleep(1)",
        "datetime.now(UTC)",
        "datetime.datetime.now()",
        "date.today()",
        "from datetime import datetime as moment",
        "loop.time()",
    ],
)
def test_no_way_of_reading_the_time_goes_unseen(source):
    assert list(readings_of_time(f"async def f():\n    {source}"))


def test_every_module_says_what_it_is():
    silent = [name_of(path) for path in EVERY_MODULE if not ast.get_docstring(parsed(path.read_text()))]
    assert [name for name in silent if not name.endswith("__main__.py")] == []


def empty_docstrings(source):
    """Lines of docstrings that only name what they implement: the docstring of the protocol is inherited."""
    for node in nodes(source):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
            if re.fullmatch(r"(Part of|See|Implements) `[^`]+`\.?", text):
                yield getattr(node, "lineno", 1)


def test_no_docstring_only_names_what_it_implements():
    found = {name_of(path): lines for path in EVERY_MODULE if (lines := list(empty_docstrings(path.read_text())))}
    assert found == {}


def test_an_empty_docstring_is_recognised():
    assert list(empty_docstrings('class A:\n    def close(self):\n        """Part of `Store`."""')) == [2]
    assert not list(empty_docstrings('class A:\n    def close(self):\n        """Part of `Store`; it waits."""'))


UNCLEAR = re.compile(
    r"\b(told|tells|telling|whoever|whom|beside|mends?|any more|in its turn|in their turn)\b", re.IGNORECASE
)
"""Words that this project used with a meaning of its own, for which English has a plain one."""
PAGES = [ROOT.parent / "README.md", *ROOT.parent.glob("docs/**/*.md"), *ROOT.parent.glob("plugins/*/README.md")]


@pytest.mark.parametrize("path", [*PAGES, *EVERY_MODULE], ids=lambda path: path.relative_to(ROOT.parent).as_posix())
def test_text_uses_the_words_of_the_field(path):
    lines = enumerate(path.read_text().splitlines(), 1)
    assert [f"{number}: {line.strip()}" for number, line in lines if UNCLEAR.search(line)] == []


@pytest.mark.parametrize(
    "library",
    [
        *(
            "pluggy",
            "jsonschema_rs",
            "picows",
            "h11",
            "aiohttp",
            "prometheus_client",
            "structlog",
            "rich",
            "jwt",
            "cryptography",
            "websockets",
        ),
        *("aiobotocore", "botocore"),
    ],
)
def test_a_library_has_few_importers(library):
    allowed = {
        "pluggy": {"plugins"},
        "jsonschema_rs": {"config", "engine", "plugins"},
        "picows": {"transports", "client"},
        "h11": {"transports"},
        "aiohttp": {"admin", "handlers", "auth", "streamer_aws"},
        "prometheus_client": {"admin"},
        "structlog": {"runtime", "engine"},
        "rich": {"cli"},
        "jwt": {"auth"},
        "cryptography": {"auth"},
        "websockets": {"streamer_aws"},
        "aiobotocore": {"streamer_aws"},
        "botocore": {"streamer_aws"},
    }[library]
    users = {Path(name_of(path)).parts[0] for path in EVERY_MODULE if library in imports_of(path)}
    assert users <= allowed
