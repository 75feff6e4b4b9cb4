"""Objects of components: what goes wrong with one names its plugin."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from streamer.contracts.components import BuildContext, Component, Kind
from streamer.core.errors import PluginError, StartError
from streamer.runtime.component_factory import build, naming
from streamer.stores.boundary import StoreBoundary
from streamer.stores.memory import MemoryStore
from tests.unit.engine.conftest import RecordingLogger


class Panic(BaseException):
    """What a Rust extension raises."""


def raising(problem):
    def factory(_options, _context):
        raise problem

    return factory


class Opens:
    """An object that is entered and left."""

    def __init__(self, entering=None, leaving=None):
        self.entering = entering
        self.leaving = leaving

    async def __aenter__(self):
        if self.entering is not None:
            raise self.entering
        return "entered"

    async def __aexit__(self, *_):
        if self.leaving is not None:
            raise self.leaving


def component(factory, namespace="lab", kind=Kind.HANDLER):
    return Component(
        kind=kind, name="part", factory=factory, namespace=namespace, distribution="lab-plugin", version="1.0"
    )


@pytest.fixture
def context():
    return BuildContext(base_dir=Path(), logger=RecordingLogger())


async def made(given, context):
    async with contextlib.AsyncExitStack() as stack:
        return await build(stack, given, {}, context)


@pytest.mark.parametrize(
    "problem", [Panic("boom"), OSError("boom"), SystemExit("boom"), asyncio.CancelledError("boom")]
)
async def test_whatever_a_plugins_factory_raises_names_the_plugin(context, problem):
    expected = rf"the handler 'lab.part' of lab-plugin 1.0 cannot be started: {type(problem).__name__}: boom"
    with pytest.raises(PluginError, match=expected):
        await made(component(raising(problem)), context)
    with pytest.raises(PluginError, match=expected):
        await made(component(lambda _options, _context: Opens(entering=problem)), context)


async def test_an_error_that_says_what_is_wrong_passes_as_it_is(context):
    with pytest.raises(StartError, match="port"):
        await made(component(raising(StartError("port"))), context)


async def test_what_is_built_in_raises_as_it_does(context):
    with pytest.raises(OSError, match="boom"):
        await made(component(raising(OSError("boom")), namespace=""), context)


def test_an_interruption_is_the_operators():
    with pytest.raises(KeyboardInterrupt), naming(component(None)):
        raise KeyboardInterrupt


async def test_an_object_that_fails_to_close_is_logged_and_the_others_are_closed(context):
    closed = []

    async def note():
        closed.append(True)

    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(note)
        given = component(lambda _options, _context: Opens(leaving=Panic("boom")))
        assert await build(stack, given, {}, context) == "entered"
    assert closed == [True]
    ((level, event, said),) = context.logger.lines
    assert (level, event, said["component"]) == ("error", "a component failed to close", "lab.part")


async def test_what_ends_the_service_passes_through_the_objects_that_close(context):
    @contextlib.asynccontextmanager
    async def factory(_options, _context):
        yield "entered"

    async def start():
        async with contextlib.AsyncExitStack() as stack:
            await build(stack, component(factory), {}, context)
            raise StartError("port")

    with pytest.raises(StartError, match="port"):
        await start()
    assert context.logger.lines == []


async def test_a_store_of_a_plugin_has_a_boundary_and_a_built_in_one_needs_none(context):
    own, foreign = object(), MemoryStore()
    assert await made(component(lambda *_: own, namespace="", kind=Kind.STORE), context) is own
    assert isinstance(await made(component(lambda *_: foreign, kind=Kind.STORE), context), StoreBoundary)
