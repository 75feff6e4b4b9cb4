"""`streamer check` builds what a start would build, enters nothing, and reports what a start would refuse."""

from __future__ import annotations

import contextlib
import os
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from streamer.config import load
from streamer.config.settings import BackendSettings, ComponentUse, PluginSettings, Settings
from streamer.contracts.components import BuildContext, Component, Kind, handler
from streamer.contracts.middleware import Middleware
from streamer.contracts.stores import RequestQueue
from streamer.core.errors import ConfigError, PluginError, StartError
from streamer.engine.validation import Validator
from streamer.plugins.manager import discover
from streamer.runtime import builtins
from streamer.runtime.component_factory import build, missing_members, protocols_of
from streamer.runtime.preflight import examine
from streamer.stores.memory import MemoryStore

OPTIONS = {"type": "object", "properties": {"size": {"type": "integer"}}, "additionalProperties": False}
HEAD = "version: 1\nserver: {port: 0}\nbackends: {store: memory}\n"


def takes_nothing(request):
    return request


def yields(request):
    yield request


async def on_the_loop(request, size=1):
    return size


class TakesNothing:
    async def process(self, request):
        return request


class NoHandler:
    def __init__(self, size=1):
        self.size = size


class Raises:
    def __init__(self, **_options):
        raise Panic("the model is not there\nsecond line")


class Panic(BaseException):
    """As a Rust extension raises it."""


class HalfAStore:
    async def enqueue(self, record):
        return None


class Entered:
    entered = False

    async def __aenter__(self):
        Entered.entered = True
        return self

    async def __aexit__(self, *_):
        return None


def exits(options, context):
    raise SystemExit(3)


def refuses(options, context):
    raise StartError("the licence is over")


PLUGIN = [
    handler("fits", on_the_loop, options=OPTIONS),
    handler("function", takes_nothing, options=OPTIONS),
    handler("class", TakesNothing, options=OPTIONS),
    handler("yields", yields),
    handler("async_cpu", on_the_loop, options=OPTIONS, cpu_bound=True),
    handler("nothing", NoHandler, options=OPTIONS),
    handler("raises", Raises),
    Component(kind=Kind.HANDLER, name="managed", factory=lambda _options, _context: Entered()),
    Component(kind=Kind.STORE, name="half", factory=lambda _options, _context: HalfAStore()),
    Component(kind=Kind.STORE, name="managed", factory=asynccontextmanager(lambda _options, _context: None)),
    Component(kind=Kind.STORE, name="whole", factory=lambda _options, context: MemoryStore(clock=context.clock)),
    Component(kind=Kind.CONNECTIONS, name="half", factory=lambda _options, _context: object()),
    Component(kind=Kind.AUTH, name="exits", factory=exits),
    Component(kind=Kind.AUTH, name="half", factory=lambda _options, _context: object()),
    Component(kind=Kind.MIDDLEWARE, name="refuses", factory=refuses),
    Component(kind=Kind.MIDDLEWARE, name="number", factory=lambda _options, _context: 3),
    Component(kind=Kind.MIDDLEWARE, name="own", factory=lambda _options, _context: Middleware()),
    Component(kind=Kind.MIDDLEWARE, name="wraps", factory=lambda _options, _context: lambda inner: inner),
    Component(kind=Kind.MIDDLEWARE, name="managed", factory=lambda _options, _context: Entered()),
]


class Found:
    def __init__(self, plugins: Any) -> None:
        own = discover(plugins, builtins=[builtins]).components
        extra = {}
        for one in PLUGIN:
            named = Component(**{**{name: getattr(one, name) for name in one.__slots__}, "namespace": "acme"})
            extra[named.kind, named.full_name] = named
        self.components = {**own, **extra}
        self.plugins = ()


def checked(folder: Path, text: str) -> list[str]:
    path = folder / "streamer.yaml"
    path.write_text(text)
    try:
        load(path, discover=Found, environ=dict(os.environ), compile_schema=Validator, examine=examine)
    except ConfigError as error:
        return [str(problem).replace(f"{path}:", "") for problem in error.problems]
    return []


@pytest.mark.parametrize(
    ("action", "says"),
    [
        (
            "{handler: acme.function, with: {size: 3}}",
            "takes_nothing(request) cannot be called with a request and size",
        ),
        ("{handler: acme.class, with: {size: 3}}", "TypeError: TakesNothing() takes no arguments"),
        ("{handler: acme.yields}", "yields; it must return its result"),
        ("{handler: acme.async_cpu}", "is async and cpu_bound"),
        ("{handler: acme.nothing}", "it needs a method"),
        ("{handler: acme.raises}", "Panic: the model is not there second line"),
    ],
)
def test_a_handler_that_cannot_be_used_is_reported_at_its_action(tmp_path, action, says):
    [problem] = checked(tmp_path, HEAD + f"actions:\n  fits: {{handler: acme.fits}}\n  a: {action}\n")
    assert problem.startswith("6:16: bad-option: actions.a.handler: ")
    assert says in problem


@pytest.mark.parametrize(
    ("section", "start", "says"),
    [
        ("backends: {store: acme.half}", "3:19: bad-option: backends.store: ", "cancel, claim, close, complete"),
        ("backends: {store: memory, connections: acme.half}", "3:40: bad-option: backends.connections: ", "send"),
        ("auth: acme.exits", "3:7: bad-option: auth: ", "SystemExit: 3"),
        ("auth: acme.half", "3:7: bad-option: auth: ", "authenticate"),
        ("middleware: [acme.refuses]", "3:14: bad-option: middleware[0]: ", "the licence is over"),
        ("middleware: [acme.own, acme.number]", "3:24: bad-option: middleware[1]: ", "is of type int; it must"),
    ],
)
def test_other_components_are_reported_where_they_are_named(tmp_path, section, start, says):
    text = f"version: 1\nserver: {{port: 0}}\n{section}\nactions: {{echo: {{handler: echo}}}}\n"
    if "auth" not in section:
        text += "auth: {use: none, allow_anyone: true}\n"
    [problem] = checked(tmp_path, text)
    assert problem.startswith(start)
    assert says in problem


def test_what_fits_is_no_problem_and_nothing_is_entered(tmp_path):
    text = "version: 1\nserver: {port: 0}\nbackends: {store: acme.managed}\n"
    text += "middleware: [acme.own, acme.wraps, acme.managed, access_log]\n"
    text += "actions:\n  a: {handler: acme.fits, with: {size: 1}}\n  b: {handler: acme.managed}\n"
    text += "  c: {handler: http, with: {url: 'http://a'}}\n"
    assert checked(tmp_path, text) == []
    assert checked(tmp_path, HEAD.replace("memory", "acme.whole") + "actions: {a: {handler: acme.fits}}\n") == []
    assert not Entered.entered


def test_what_built_in_components_name_must_be_there(tmp_path):
    text = "version: 1\nserver: {port: 0}\nbackends:\n  store: {use: sqlite, path: none/a.db}\nactions:\n"
    text += "  a: {handler: command, with: {argv: [sh, ./nope.sh]}}\n"
    text += "  b: {handler: command, with: {argv: [./nope.sh], cwd: none}}\n"
    problems = checked(tmp_path, text)
    assert [problem.partition(": the")[0].partition(": /")[0] for problem in problems] == [
        "4:30: bad-option: backends.store.path",
        "7:39: bad-option: actions.b.with.argv[0]",
        "7:56: bad-option: actions.b.with.cwd",
    ]
    default = "version: 1\nserver: {port: 0}\nactions: {echo: {handler: echo}}\n"
    assert checked(tmp_path, default) == []
    (tmp_path / "streamer.db").write_text("something else")
    [problem] = checked(tmp_path, default)
    assert "is not an SQLite file" in problem


def certificate(folder: Path, name: str) -> None:
    made = f"-nodes -subj /CN=a -days 2 -keyout {name}.key -out {name}.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", *made.split()], cwd=folder, check=True, capture_output=True
    )


def test_a_certificate_that_cannot_be_used_is_reported(tmp_path):
    for name in ("a", "b"):
        certificate(tmp_path, name)
    (tmp_path / "empty.pem").touch()

    def with_files(cert: str, key: str) -> list[str]:
        tls = f"version: 1\nserver:\n  port: 0\n  tls:\n    cert: {cert}\n    key: {key}\nbackends: {{store: memory}}\n"
        return checked(tmp_path, tls + "actions: {echo: {handler: echo}}\n")

    assert with_files("a.pem", "a.key") == []
    [missing] = with_files("none.pem", "a.key")
    assert missing.startswith("5:11: bad-option: server.tls.cert: ")
    [missing] = with_files("a.pem", "none.key")
    assert missing.startswith("6:10: bad-option: server.tls.key: ")
    [other] = with_files("a.pem", "b.key")
    assert other.startswith("5:5: bad-option: server.tls: ")
    [broken] = with_files("empty.pem", "a.key")
    assert "cannot use" in broken


async def test_a_store_without_its_methods_is_refused_at_start(tmp_path):
    component = next(one for one in PLUGIN if one.name == "half" and one.kind is Kind.STORE)
    named = Component(kind=Kind.STORE, name="half", factory=component.factory, namespace="acme")
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(PluginError, match="lacks cancel"):
            await build(stack, named, {}, BuildContext(base_dir=tmp_path))


@pytest.mark.parametrize(
    ("kind", "made", "says"),
    [
        (Kind.STORE, None, "the store 'acme.odd' lacks cancel"),
        (Kind.CONNECTIONS, object(), "the connections 'acme.odd' lacks "),
        (Kind.AUTH, object(), "the auth 'acme.odd' lacks authenticate"),
        (Kind.MIDDLEWARE, 7, "the middleware 'acme.odd' is of type int; it must be a Middleware"),
    ],
)
async def test_a_start_refuses_what_is_no_component_as_check_does(tmp_path, kind, made, says):
    component = Component(kind=kind, name="odd", factory=lambda _options, _context: made, namespace="acme")
    async with contextlib.AsyncExitStack() as stack:
        with pytest.raises(PluginError, match=says):
            await build(stack, component, {}, BuildContext(base_dir=tmp_path))


async def test_no_authenticator_is_one_that_asks_nobody(tmp_path):
    component = Component(kind=Kind.AUTH, name="none", factory=lambda _options, _context: None, namespace="acme")
    async with contextlib.AsyncExitStack() as stack:
        assert await build(stack, component, {}, BuildContext(base_dir=tmp_path)) is None


def test_the_stores_that_are_built_in_have_all_methods():
    assert missing_members(MemoryStore(), RequestQueue) == []
    assert "claim" in missing_members(object(), RequestQueue)


@pytest.mark.parametrize(
    ("declared", "missing"),
    [
        ({"kind": Kind.STORE, "claims_by_key": True}, {"claim_one", "ended_undelivered", "enqueue"}),
        ({"kind": Kind.CONNECTIONS, "several_processes": True}, {"send", "subscriptions", "progress_interval"}),
        ({"kind": Kind.CONNECTIONS, "holds_sockets": True}, {"send", "add", "remove"}),
    ],
)
def test_what_a_component_declares_its_object_must_have(declared, missing):
    component = Component(name="odd", factory=print, **declared)
    assert missing <= set(missing_members(object(), *protocols_of(component)))


def test_a_check_of_the_machine_that_fails_is_a_problem_of_the_file(tmp_path):
    def check(options, context):
        raise OSError("no such disk")

    component = Component(kind=Kind.STORE, name="disk", factory=print, check_machine=check, namespace="acme")
    components = {**discover(PluginSettings(allow=()), builtins=[builtins]).components}
    components[Kind.STORE, "acme.disk"] = component
    settings = Settings(path=tmp_path / "streamer.yaml", backends=BackendSettings(store=ComponentUse(name="acme.disk")))
    first = next(iter(examine(settings, components)))
    assert first.place == ("backends", "store")
    assert "no such disk" in first.message
