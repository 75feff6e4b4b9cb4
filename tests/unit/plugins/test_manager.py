from __future__ import annotations

import importlib.metadata
import sys
from types import SimpleNamespace

import pytest

import streamer
from streamer.config.settings import PluginSettings
from streamer.contracts.components import Component, Kind
from streamer.core.errors import PluginError
from streamer.plugins.hookspecs import hookimpl
from streamer.plugins.manager import discover, normalised

GOOD = """
    from streamer import handler, hookimpl

    def create_user(request):
        "Makes a user"

    def delete_user(request):
        "Takes a user away"

    @hookimpl
    def streamer_handlers():
        return [handler("delete_user", delete_user), handler("create_user", create_user)]
"""
FAILS_ON_IMPORT = "raise RuntimeError('this module\\nmust not be imported')"
ALL = PluginSettings()


class Builtin:
    @hookimpl
    def streamer_handlers(self):
        return [Component(kind=Kind.HANDLER, name="echo", factory=lambda options, context: None)]

    @hookimpl
    def streamer_backends(self):
        return [
            Component(kind=Kind.STORE, name="memory", factory=lambda options, context: None),
            Component(kind=Kind.CONNECTIONS, name="local", factory=lambda options, context: None),
        ]


def problem(**arguments) -> str:
    with pytest.raises(PluginError) as caught:
        discover(arguments.pop("settings", ALL), **arguments)
    return str(caught.value)


def test_the_entry_point_is_the_namespace_and_origin_is_filled_in(install):
    install("Demo_Plugin", {"demo": "demo_plugin"}, "1.2.3", demo_plugin=GOOD)
    registry = discover(ALL)
    component = registry.get(Kind.HANDLER, "demo.create_user")
    assert component is not None
    assert (component.name, component.namespace) == ("create_user", "demo")
    assert (component.distribution, component.version) == ("Demo_Plugin", "1.2.3")
    assert component.summary == "Makes a user"
    (plugin,) = registry.plugins
    assert (plugin.name, plugin.distribution, plugin.version, plugin.module) == (
        "demo",
        "Demo_Plugin",
        "1.2.3",
        "demo_plugin",
    )
    assert plugin.status == "loaded"
    assert [each.name for each in plugin.components] == ["create_user", "delete_user"]


def test_built_ins_go_through_the_same_hooks_without_a_prefix():
    registry = discover(ALL, builtins=[Builtin()], entry_points=lambda group: [])
    assert list(registry.components) == [
        (Kind.CONNECTIONS, "local"),
        (Kind.HANDLER, "echo"),
        (Kind.STORE, "memory"),
    ]
    echo = registry.components[Kind.HANDLER, "echo"]
    assert (echo.namespace, echo.distribution, echo.version) == ("", "streamer-router", streamer.__version__)
    assert registry.plugins[0].name == ""


def test_a_broken_built_in_is_named_without_a_way_to_block_it():
    text = problem(builtins=[SimpleNamespace()], entry_points=lambda group: [])
    assert text.startswith("built-in SimpleNamespace: it has no components")
    assert "plugins.block" not in text


def test_an_entry_point_may_name_an_object(install):
    source = """
        from streamer import handler, hookimpl

        class Plugin:
            @hookimpl
            def streamer_handlers(self):
                return [handler("a", print)]

        plugin = Plugin()
    """
    install("objects", {"objects": "objects_plugin:plugin"}, objects_plugin=source)
    assert list(discover(ALL).components) == [(Kind.HANDLER, "objects.a")]


@pytest.mark.parametrize("name", ["demo-plugin", "Demo_Plugin", "demo.plugin", "DEMO--plugin"])
def test_a_blocked_distribution_is_never_imported(install, name):
    install("demo-plugin", {"demo": "demo_blocked"}, demo_blocked=FAILS_ON_IMPORT)
    registry = discover(PluginSettings(block=(name,)))
    (plugin,) = registry.plugins
    assert (plugin.status, plugin.reason) == ("blocked", "named in plugins.block")
    assert registry.components == {}
    assert "demo_blocked" not in sys.modules


def test_a_distribution_that_allow_leaves_out_is_never_imported(install):
    install("demo-plugin", {"demo": "demo_left_out"}, demo_left_out=FAILS_ON_IMPORT)
    install("good", {"good": "good_plugin"}, good_plugin=GOOD)
    registry = discover(PluginSettings(allow=("Good",)))
    assert [(each.name, each.status, each.reason) for each in registry.plugins] == [
        ("demo", "blocked", "not named in plugins.allow"),
        ("good", "loaded", ""),
    ]
    assert "demo_left_out" not in sys.modules


def test_block_is_stronger_than_allow(install):
    install("demo-plugin", {"demo": "demo_both"}, demo_both=FAILS_ON_IMPORT)
    registry = discover(PluginSettings(allow=("demo-plugin",), block=("demo-plugin",)))
    assert registry.plugins[0].status == "blocked"


def test_an_import_that_fails_names_distribution_module_error_and_the_way_out(install):
    install("demo-plugin", {"demo": "demo_failing"}, "2.0", demo_failing=FAILS_ON_IMPORT)
    assert problem() == (
        "plugin 'demo' of the distribution demo-plugin 2.0: importing demo_failing failed: "
        "RuntimeError: this module must not be imported; fix or uninstall it, or "
        "block it with plugins.block: [demo-plugin]"
    )


def test_a_module_that_is_not_there_or_exits_is_a_failed_import(install):
    install("gone", {"gone": "no_such_module_anywhere"})
    install("leaves", {"leaves": "leaving"}, leaving="raise SystemExit(3)")
    install("panics", {"panics": "panicking"}, panicking="class Panic(BaseException): pass\nraise Panic('boom')")
    first, second, third = problem().splitlines()
    assert "importing panicking failed: Panic: boom" in third
    assert "importing no_such_module_anywhere failed: ModuleNotFoundError" in first
    assert "importing leaving failed: SystemExit: 3" in second


def test_a_second_plugin_of_the_same_name_is_refused_naming_both_distributions(install):
    install("one-plugin", {"demo": "one_plugin"}, one_plugin=GOOD)
    install("other-plugin", {"demo": "other_plugin"}, other_plugin=GOOD)
    text = problem()
    assert text.startswith("two plugins have the name 'demo', in the distributions one-plugin 1.0 and other-plugin")
    assert "plugins.block" in text


def test_blocking_one_of_two_plugins_of_the_same_name_is_a_way_out(install):
    install("one-plugin", {"demo": "one_of_two"}, one_of_two=GOOD)
    install("other-plugin", {"demo": "other_of_two"}, other_of_two=FAILS_ON_IMPORT)
    registry = discover(PluginSettings(block=("other-plugin",)))
    assert [(each.distribution, each.status) for each in registry.plugins] == [
        ("one-plugin", "loaded"),
        ("other-plugin", "blocked"),
    ]


@pytest.mark.parametrize("name", ["de.mo", "de mo", "1demo", "dömo"])
def test_an_entry_point_with_wrong_characters_is_refused(install, name):
    install("demo-plugin", {name: "demo_wrongly_named"}, demo_wrongly_named=FAILS_ON_IMPORT)
    text = problem()
    assert f"the name {name!r} is not allowed" in text
    assert text.endswith("block it with plugins.block: [demo-plugin]")


def test_every_problem_of_every_plugin_is_told_at_once(install):
    install("a-plugin", {"a": "a_failing"}, a_failing=FAILS_ON_IMPORT)
    install("b-plugin", {"b": "b_empty"}, b_empty="")
    install("c-plugin", {"c": "c_good"}, c_good=GOOD)
    lines = problem().splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "plugin 'a' of the distribution a-plugin 1.0",
        "plugin 'b' of the distribution b-plugin 1.0",
    ]


def test_no_order_of_entry_points_or_results_decides_anything(install):
    install("z-plugin", {"a": "plugin_a"}, plugin_a=GOOD)
    install("a-plugin", {"z": "plugin_z"}, plugin_z=GOOD)
    found = list(importlib.metadata.entry_points(group="streamer"))
    forward = discover(ALL, entry_points=lambda group: found)
    backward = discover(ALL, entry_points=lambda group: found[::-1])
    assert list(forward.components) == list(backward.components)
    assert [name for _, name in forward.components] == [
        "a.create_user",
        "a.delete_user",
        "z.create_user",
        "z.delete_user",
    ]
    assert [each.name for each in forward.plugins] == [each.name for each in backward.plugins] == ["a", "z"]


def test_two_built_ins_with_one_component_name_are_refused():
    text = problem(builtins=[Builtin(), Builtin()], entry_points=lambda group: [])
    assert "two components are called handler 'echo'" in text
    assert len(text.splitlines()) == 3


def test_a_distribution_without_metadata_is_told_apart_by_its_entry_point():
    bare = importlib.metadata.EntryPoint("bare", "no_such_module_of_a_bare_one", "streamer")
    assert "unknown-distribution-of-bare" in problem(entry_points=lambda group: [bare])


def test_names_of_distributions_compare_as_in_pep_503():
    assert normalised("My_Plug.in") == normalised("my--plug-in") == "my-plug-in"


def test_the_mark_is_importable_from_the_package():
    assert streamer.hookimpl is hookimpl
