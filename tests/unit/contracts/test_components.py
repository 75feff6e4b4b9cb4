"""Components: what a plugin's author writes in one line, and what the runtime gets of it."""

import asyncio
import dataclasses
import pickle
from pathlib import Path

import pytest

from streamer.contracts.components import NO_OPTIONS, BuildContext, Component, FunctionTarget, Kind, Stability, handler
from streamer.core.messages import Request

FOLDERS = {
    "type": "object",
    "properties": {
        "data_dir": {"type": "string", "format": "path", "default": "./data"},
        "extra_dirs": {"type": "array", "items": {"type": "string", "format": "path"}},
        "label": {"type": "string"},
        "labels": {"type": "array"},
        "anything": True,
    },
}


def greet(request: Request, *, greeting: str = "hello") -> str:
    """Greets whoever asks.

    At length.
    """
    return f"{greeting} {request.payload}"


class Greeter:
    """Greets by a class."""

    def __init__(self, *, data_dir: Path) -> None:
        self.data_dir = data_dir


@pytest.fixture
def context(tmp_path):
    return BuildContext(base_dir=tmp_path)


def test_a_function_becomes_a_target_with_its_options(context):
    built = handler("greet", greet, options={"type": "object"}).factory({"greeting": "salve"}, context)
    assert built == FunctionTarget(greet, {"greeting": "salve"}, cpu_bound=False)
    assert built.function(Request(id="1", action="greet", payload="world"), **built.options) == "salve world"


def test_a_cpu_bound_function_says_so_and_can_be_sent_to_a_process(context):
    built = handler("greet", greet, options=FOLDERS, cpu_bound=True).factory({"data_dir": "data"}, context)
    assert built.cpu_bound
    assert pickle.loads(pickle.dumps(built)) == built


def test_a_class_is_made_with_its_options_as_keyword_arguments(context, tmp_path):
    built = handler("greet", Greeter, options=FOLDERS).factory({"data_dir": "data"}, context)
    assert isinstance(built, Greeter)
    assert built.data_dir == tmp_path / "data"


def test_the_docstrings_first_line_is_summary_and_description():
    component = handler("greet", greet)
    assert (component.summary, component.description) == ("Greets whoever asks.", "Greets whoever asks.")
    assert handler("greet", greet, summary="short").description == "short"
    assert handler("greet", greet, summary="short", description="long").description == "long"


def test_a_handler_without_an_option_schema_allows_no_options():
    component = handler("greet", greet)
    assert component.options is NO_OPTIONS
    assert (component.kind, component.stability) == (Kind.HANDLER, Stability.STABLE)


@pytest.mark.parametrize(
    ("written", "resolved"),
    [("data", "data"), ("./data", "data"), ("a/../data", "data"), ("/srv/data", "/srv/data")],
)
def test_an_option_with_format_path_is_relative_to_the_files_folder(context, tmp_path, written, resolved):
    built = handler("greet", greet, options=FOLDERS).factory({"data_dir": written}, context)
    assert built.options == {"data_dir": tmp_path / resolved}


def test_a_home_folder_in_a_path_option_is_expanded(context, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    built = handler("greet", greet, options=FOLDERS).factory({"data_dir": "~/data"}, context)
    assert built.options == {"data_dir": tmp_path / "home" / "data"}


def test_each_path_of_a_list_of_paths_is_resolved(context, tmp_path):
    built = handler("greet", greet, options=FOLDERS).factory({"extra_dirs": ["a", "b/c"]}, context)
    assert built.options == {"extra_dirs": [tmp_path / "a", tmp_path / "b" / "c"]}


def test_options_that_are_no_paths_are_left_as_they_are(context):
    given = {"label": "./data", "labels": ["./data", 1], "anything": ["x"], "unknown": "y", "data_dir": None}
    assert handler("greet", greet, options=FOLDERS).factory(given, context).options == given


def test_the_full_name_has_the_plugins_prefix_and_built_ins_have_none():
    component = handler("greet", greet)
    assert component.full_name == "greet"
    prefixed = Component(kind=Kind.HANDLER, name="greet", factory=component.factory, namespace="demo")
    assert prefixed.full_name == "demo.greet"


def test_a_context_brings_a_clock_and_a_logger_of_its_own(context):
    assert context.clock.monotonic() <= context.clock.monotonic()
    assert context.logger.name == "streamer"
    assert asyncio.run(context.clock.sleep(0)) is None


def test_a_plugins_component_may_go_without_its_prefix():
    named = Component(kind=Kind.STORE, name="shelf", factory=print, namespace="acme")
    assert named.full_name == "acme.shelf"
    assert dataclasses.replace(named, prefixed=False).full_name == "shelf"


def test_capabilities_are_what_a_component_declares():
    assert Component(kind=Kind.STORE, name="a", factory=print).capabilities == ()
    able = Component(kind=Kind.STORE, name="a", factory=print, several_processes=True, operator=print)
    assert able.capabilities == ("several_processes", "operator")
