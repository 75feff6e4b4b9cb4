"""Imports without cycles, and components that say what they can do instead of being guessed at."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest
from source_tree import Tree, cycles_of_modules, cycles_of_packages

import streamer

ROOT = Path(streamer.__file__).parent
AWS = ROOT.parent / "plugins/aws/streamer_aws"
DEMO = ROOT.parent / "plugins/demo/streamer_demo"

GUESSES = {
    "contracts/handlers.py: process_with_progress": "a handler need not have it, and this is the one place that looks",
    "handlers/functions.py: process": "what a plugin's factory returned becomes a handler here, and what it lacks is",
    "handlers/functions.py: validate": "filled in",
    "handlers/functions.py: estimated_duration": "as above",
    "handlers/functions.py: __qualname__": "functions have it, and callable objects do not",
    "plugins/plugin_hooks.py: f'{PROJECT}_impl'": "pluggy's own mark on a function",
    "runtime/component_factory.py: name": "here a component's object is held against its contract",
    "runtime/logs.py: buffer": "standard error may be the stream of a platform, which need not have it",
    "stores/sqlite/guard.py: sqlite_errorcode": "sqlite3 does not give it to the errors of its own",
    "stores/sqlite/service_lock.py: F_OFD_SETLK": "only some systems have it",
    "stores/sqlite/single_thread.py: AttributeError": "Python may contain a SQLite whose functions are hidden",
    "testing/conformance/queries.py: payload": "asserts that a summary has none",
}
"""Attributes that may be looked for, as the module and the attribute, each with the reason: the object belongs to
somebody else, and no type says whether it has them."""

TESTED_TYPES: dict[str, str] = {}
"""Components whose type may be tested, as the module and the class, each with the reason."""


def guesses(module):
    """Attributes that are looked for on an object that may lack them, as line and attribute."""
    called = {id(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            least = {"hasattr": 2, "getattr": 3, "getattr_static": 3}.get(name)
            if least is not None and len(node.args) + len(node.keywords) >= least:
                said = node.args[1]
                yield node.lineno, said.value if isinstance(said, ast.Constant) else ast.unparse(said)
            elif name == "suppress" and any(getattr(each, "id", "") == "AttributeError" for each in node.args):
                yield node.lineno, "AttributeError"
        elif isinstance(node, ast.Name) and node.id in {"hasattr", "getattr"} and id(node) not in called:
            # Handed on, it is called elsewhere.
            yield node.lineno, node.id
        elif isinstance(node, ast.ExceptHandler) and node.type is not None:
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            # In the company of others it is about foreign data, not about what an object can do.
            if len(caught) == 1 and getattr(caught[0], "id", "") == "AttributeError":
                yield node.lineno, "AttributeError"


def members(tree, classes, dotted, seen=frozenset()):
    """Methods and attributes that a class has by its text and its bases'."""
    if dotted in seen or dotted not in classes:
        return set()
    module, node = classes[dotted]
    own = {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}
    bases = [members(tree, classes, tree.resolve(module, base), seen | {dotted}) for base in node.bases]
    return own.union(*bases)


def component_types(tree):
    """The contracts' protocols, what fulfils one of them, and every delivery: types that must not be tested."""
    classes = tree.classes()
    protocols = {
        dotted
        for dotted, (module, node) in classes.items()
        if ".contracts." in dotted and any(ast.unparse(base) == "Protocol" for base in node.bases)
    }
    asked = [frozenset(name for name in members(tree, classes, one) if name[0] != "_") for one in protocols]
    return protocols | {
        dotted
        for dotted in classes
        if dotted.endswith("Delivery") or any(each and each <= members(tree, classes, dotted) for each in asked)
    }


def types_tested(tree, module):
    """Types that objects are tested for: by isinstance, by a pattern of a match, by a comparison of the type itself."""
    for node in ast.walk(module.tree):
        tested = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            tested = node.args[1:] if node.func.id in {"isinstance", "issubclass"} else []
        elif isinstance(node, ast.MatchClass):
            tested = [node.cls]
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            asks = any(
                (isinstance(each, ast.Call) and getattr(each.func, "id", "") == "type")
                or getattr(each, "attr", "") == "__class__"
                for each in sides
            )
            tested = sides if asks else []
        for each in tested:
            yield from ((node.lineno, tree.resolve(module, one)) for one in _alternatives(module, each))


def _alternatives(module, node):
    """The types of `A | B`, of a tuple, and of a name that the module gives to one of these."""
    if isinstance(node, ast.Tuple):
        return [one for each in node.elts for one in _alternatives(module, each)]
    if isinstance(node, ast.BinOp):
        return [*_alternatives(module, node.left), *_alternatives(module, node.right)]
    if isinstance(node, ast.Name) and node.id not in module.names:
        for each in module.tree.body:
            targets = each.targets if isinstance(each, ast.Assign) else [getattr(each, "target", None)]
            if any(getattr(target, "id", "") == node.id for target in targets) and isinstance(
                each, ast.Assign | ast.AnnAssign
            ):
                return _alternatives(module, each.value)
    return [node]


def components_tested(tree):
    """Every test for the type of a component, as `file: class`, with its line."""
    refused = component_types(tree)
    return {
        f"{module.short}: {dotted.rpartition('.')[2]}": line
        for module in tree.modules.values()
        for line, dotted in types_tested(tree, module)
        if dotted in refused
    }


def every_guess(tree):
    return {f"{module.short}: {name}": line for module in tree.modules.values() for line, name in guesses(module)}


@pytest.fixture(scope="module")
def ours():
    return Tree(ROOT, AWS, DEMO)


def test_no_module_imports_itself_in_a_circle(ours):
    assert cycles_of_modules(ours) == []


def test_no_package_imports_itself_in_a_circle(ours):
    assert cycles_of_packages(ours) == []


def test_nobody_guesses_what_a_component_can_do(ours):
    found = every_guess(ours)
    assert {place: line for place, line in found.items() if place not in GUESSES} == {}
    assert sorted(GUESSES.keys() - found.keys()) == [], "an exception that nobody needs any more"


def test_nobody_tests_the_type_of_a_component(ours):
    found = components_tested(ours)
    assert {place: line for place, line in found.items() if place not in TESTED_TYPES} == {}
    assert sorted(TESTED_TYPES.keys() - found.keys()) == [], "an exception that nobody needs any more"


def planted(folder, **texts):
    """The tree of a small package that has this text in the module of this name, and these contracts and classes."""
    here = {
        "contracts/stores.py": """
            from typing import Protocol
            class Queue(Protocol):
                async def enqueue(self, record): ...
                async def claim(self, limit): ...
            class Woken(Queue, Protocol):
                async def wait(self): ...
        """,
        "stores/memory.py": """
            class Base:
                async def enqueue(self, record): pass
            class MemoryStore(Base):
                async def claim(self, limit): pass
            class Row: pass
        """,
        "engine/delivery.py": "class SharedDelivery: pass",
        "front.py": "from ours.stores.memory import MemoryStore as Kept",
        **{f"{name.replace('__', '/')}.py": text for name, text in texts.items()},
    }
    for name, text in here.items():
        path = folder / "ours" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        (path.parent / "__init__.py").touch()
    return Tree(folder / "ours")


@pytest.mark.parametrize(
    "back",
    [
        "import ours.engine.worker",
        "from ours.engine import worker",
        "from ours.engine.worker import Worker",
        "from .worker import Worker",
        "from . import worker",
        "if TYPE_CHECKING:\n    from ours.engine.worker import Worker",
        "def f():\n    from ours.engine.worker import Worker",
        "import_module('ours.engine.worker')",
        "Child('ours.engine.worker:main')",
        "from ours.engine import slots",
    ],
)
def test_no_circle_of_modules_goes_unseen(tmp_path, back):
    worker = "from ours.engine.job import Job"
    tree = planted(tmp_path, engine__job=back, engine__slots="from ours.engine import worker", engine__worker=worker)
    (found,) = cycles_of_modules(tree)
    assert {"ours.engine.job", "ours.engine.worker"} <= {*found}


def test_a_circle_of_packages_is_seen_where_no_module_is_in_one(tmp_path):
    tree = planted(
        tmp_path,
        engine__job="from ours.engine.sql import rows",
        engine__sql__rows="",
        engine__sql__writing="from ours.engine import job",
    )
    assert cycles_of_modules(tree) == []
    assert cycles_of_packages(tree) == [["ours.engine.job", "ours.engine.sql"]]


def test_imports_of_one_direction_are_no_circle(tmp_path):
    logger = "getLogger('ours.engine.sql')"
    tree = planted(
        tmp_path,
        engine__job="from ours.engine.sql.rows import Row\nfrom ours.engine import worker",
        engine__worker="from ours import front\nlog = getLogger('ours.engine')",
        engine__sql__rows=f"import ours.front\nlog = {logger}",
    )
    assert cycles_of_modules(tree) == cycles_of_packages(tree) == []


@pytest.mark.parametrize(
    ("text", "attribute"),
    [
        ("hasattr(store, 'wait')", "wait"),
        ("if not hasattr(type(made), '__aenter__'): pass", "__aenter__"),
        ("builtins.hasattr(store, 'wait')", "wait"),
        ("shared = getattr(connections, 'subscribers', None)", "subscribers"),
        ("getattr(store, name, None)", "name"),
        ("inspect.getattr_static(store, 'wait', None)", "wait"),
        ("ask = functools.partial(hasattr, store)", "hasattr"),
        ("try:\n    store.wait\nexcept AttributeError: pass", "AttributeError"),
        ("with contextlib.suppress(AttributeError):\n    store.wait", "AttributeError"),
    ],
)
def test_no_guess_goes_unseen(tmp_path, text, attribute):
    assert [*every_guess(planted(tmp_path, engine__job=text))] == [f"engine/job.py: {attribute}"]


@pytest.mark.parametrize("text", ["getattr(use, name)", "store.wait()", "getattr(self, f'_{kind}')(event)"])
def test_what_must_be_there_is_no_guess(tmp_path, text):
    assert every_guess(planted(tmp_path, engine__job=text)) == {}


@pytest.mark.parametrize(
    ("text", "tested"),
    [
        ("from ours.contracts.stores import Queue\nisinstance(store, Queue)", "Queue"),
        ("from ours.contracts.stores import Woken\nissubclass(type(store), Woken)", "Woken"),
        ("from ours.contracts import stores\nisinstance(store, stores.Queue)", "Queue"),
        ("import ours.contracts.stores\nisinstance(store, ours.contracts.stores.Queue)", "Queue"),
        ("from ours.stores.memory import MemoryStore\nisinstance(store, MemoryStore | None)", "MemoryStore"),
        ("from ours.stores.memory import MemoryStore as M\nisinstance(store, (int, M))", "MemoryStore"),
        ("from ours.front import Kept\nisinstance(store, Kept)", "MemoryStore"),
        ("from ours.front import Kept\nKINDS = (int, Kept)\nisinstance(store, KINDS)", "MemoryStore"),
        ("from ours.front import Kept\nKINDS: Any = int | Kept\nisinstance(store, KINDS)", "MemoryStore"),
        ("from ours.front import Kept\nmatch store:\n    case Kept(): pass", "MemoryStore"),
        ("from ours.front import Kept\nif type(store) is Kept: pass", "MemoryStore"),
        ("from ours.front import Kept\nif store.__class__ == Kept: pass", "MemoryStore"),
        ("def f():\n    from ours.front import Kept\n    return isinstance(store, Kept)", "MemoryStore"),
        ("from .delivery import SharedDelivery\nassert isinstance(delivery, SharedDelivery)", "SharedDelivery"),
        ("class Store:\n    def enqueue(self, one): ...\n    def claim(self): ...\nisinstance(x, Store)", "Store"),
    ],
)
def test_no_test_for_the_type_of_a_component_goes_unseen(tmp_path, text, tested):
    assert [*components_tested(planted(tmp_path, engine__job=text))] == [f"engine/job.py: {tested}"]


@pytest.mark.parametrize(
    "text",
    [
        "isinstance(value, str | int)",
        "from ours.stores.memory import Row\nisinstance(value, Row)",
        "from ours.stores.memory import MemoryStore\nstore = MemoryStore()",
        "type(middleware).process is not Middleware.process",
    ],
)
def test_values_may_be_told_apart(tmp_path, text):
    assert components_tested(planted(tmp_path, engine__job=text)) == {}
