from __future__ import annotations

import json
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest
from jsonschema import Draft202012Validator

import streamer
from streamer.config.build import with_defaults
from streamer.config.settings import PluginSettings, Settings, WorkerSettings
from streamer.contracts.components import BuildContext, Kind, Stability
from streamer.contracts.handlers import Handler
from streamer.core.errors import Error
from streamer.core.messages import Request
from streamer.core.records import RequestRecord
from streamer.core.units import parse_duration
from streamer.plugins.manager import discover
from streamer.runtime import builtins


@pytest.fixture(scope="module")
def registry():
    return discover(PluginSettings(), builtins=[builtins], entry_points=lambda group: [])


@pytest.fixture
def context(tmp_path):
    settings = Settings(path=tmp_path / "streamer.yaml", worker=WorkerSettings(max_queued=1))
    return BuildContext(base_dir=tmp_path, settings=settings)


def test_everything_built_in_is_offered_without_a_prefix(registry):
    assert registry.names(Kind.HANDLER) == ("command", "delay", "echo", "http", "validation_example")
    assert registry.names(Kind.STORE) == ("memory", "sqlite")
    assert registry.names(Kind.CONNECTIONS) == ("local",)
    assert registry.names(Kind.AUTH) == ("jwt", "none")
    assert {"access_log", "limits", "timeout"} <= set(registry.names(Kind.MIDDLEWARE))


def test_every_component_says_what_it_is_and_where_it_is_from(registry):
    for component in registry.components.values():
        assert component.summary
        assert "\n" not in component.summary
        assert component.stability is Stability.STABLE
        assert (component.distribution, component.version) == ("streamer-router", streamer.__version__)
        for name, option in component.options.get("properties", {}).items():
            assert option.get("description"), f"{component.full_name}.{name} has no description"


def test_every_schema_is_one(registry):
    """No start checks them; those of other plugins are checked by each."""
    for component in registry.components.values():
        for schema in (component.options, component.schema, component.result_schema):
            if schema is not None:
                Draft202012Validator.check_schema(schema)
        assert component.options["type"] == "object"


def test_only_a_handler_that_needs_no_task_says_so(registry):
    immediate = [
        name for kind, name in registry.components if kind is Kind.HANDLER and registry.components[kind, name].immediate
    ]
    assert immediate == ["echo"]


def test_nothing_heavy_is_imported_before_it_is_used():
    code = (
        "import json, sys\n"
        "before = set(sys.modules)\n"
        "import streamer.runtime.builtins as b\n"
        "b.streamer_handlers(), b.streamer_backends(), b.streamer_auth()\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    loaded = json.loads(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)
    heavy = {"aiohttp", "sqlite3", "picows", "uvloop", "jsonschema", "streamer.stores.sqlite", "streamer.handlers.http"}
    assert heavy.isdisjoint(loaded)


OPTIONS = {
    "command": {"argv": ["true"]},
    "http": {"url": "http://127.0.0.1:1/"},
    "delay": {"delay": "2s"},
}


@pytest.mark.parametrize("name", ["command", "delay", "echo", "http", "validation_example"])
async def test_every_factory_makes_a_handler_whose_estimate_is_the_components(registry, context, name):
    component = registry.components[Kind.HANDLER, name]
    async with AsyncExitStack() as stack:
        made = component.factory(OPTIONS.get(name, {}), context)
        handler = await stack.enter_async_context(made) if name == "http" else made
        assert isinstance(handler, Handler)
        estimate = component.estimated_duration or "2s"
        assert handler.estimated_duration() == parse_duration(estimate)


async def test_options_that_are_left_out_have_the_defaults_of_the_schema(registry, context):
    delay = registry.components[Kind.HANDLER, "delay"]
    default = delay.options["properties"]["delay"]["default"]
    assert delay.factory({}, context).estimated_duration() == parse_duration(default)
    result = (
        await registry.components[Kind.HANDLER, "echo"].factory({}, context).process(Request(id="1", action="echo"))
    )
    assert result.data["echo"] is None


def record(name: str) -> RequestRecord:
    return RequestRecord(owner="o", id=name, action="a", created_at=1.0, updated_at=1.0, due_at=1.0)


@pytest.mark.parametrize("name", ["memory", "sqlite"])
async def test_a_store_is_bounded_by_the_files_max_queued_and_closed_after_use(registry, context, name):
    component = registry.components[Kind.STORE, name]
    async with component.factory(with_defaults({}, component.options), context) as store:
        await store.enqueue(record("1"))
        with pytest.raises(Error) as caught:
            await store.enqueue(record("2"))
        assert caught.value.code == "OVERLOADED"
    with pytest.raises(streamer.StreamerError):
        await store.enqueue(record("3"))


@pytest.mark.parametrize("name", ["memory", "sqlite"])
async def test_a_store_is_bounded_for_each_owner_by_the_files_max_queued_per_owner(registry, tmp_path, name):
    settings = Settings(path=tmp_path / "streamer.yaml", worker=WorkerSettings(max_queued_per_owner=1))
    context = BuildContext(base_dir=tmp_path, settings=settings)
    component = registry.components[Kind.STORE, name]
    async with component.factory(with_defaults({}, component.options), context) as store:
        await store.enqueue(record("1"))
        with pytest.raises(Error, match="the limit for one owner"):
            await store.enqueue(record("2"))


async def test_without_settings_a_store_has_the_usual_bound(registry, context):
    async with registry.components[Kind.STORE, "memory"].factory({}, replace(context, settings=None)) as store:
        await store.enqueue(record("1"))
        assert await store.enqueue(record("2")) is None


async def test_the_sqlite_file_is_relative_to_the_configuration(registry, context, tmp_path):
    (tmp_path / "data").mkdir()
    async with registry.components[Kind.STORE, "sqlite"].factory({"path": "data/queue.db"}, context) as store:
        await store.enqueue(record("1"))
    assert (tmp_path / "data" / "queue.db").is_file()


def test_local_connections_are_made_without_options(registry, context):
    connections = registry.components[Kind.CONNECTIONS, "local"].factory({}, context)
    assert hasattr(connections, "send")


def test_no_auth_is_nothing_to_ask(registry, context):
    assert registry.components[Kind.AUTH, "none"].factory({}, context) is None


def test_the_http_handler_checks_its_headers(registry, context):
    check = registry.components[Kind.HANDLER, "http"].check
    options = {"url": "https://example.com", "headers": {"Authorization": "Bearer abc\n"}}
    assert [problem.place for problem in check(options, context)] == [("headers", "Authorization")]
