from __future__ import annotations

import pytest

from streamer.contracts.components import Component, Kind
from streamer.plugins.registry import PluginInfo, Registry


def component(name: str, kind: Kind = Kind.HANDLER) -> Component:
    return Component(kind=kind, name=name, factory=print, namespace="p")


def registry() -> Registry:
    components = (component("b"), component("a"), component("m", Kind.MIDDLEWARE))
    return Registry.of([PluginInfo(name="p", distribution="d", version="", components=components)])


def test_components_are_found_by_kind_and_full_name():
    found = registry().get(Kind.HANDLER, "p.a")
    assert found is not None
    assert found.name == "a"
    assert registry().get(Kind.MIDDLEWARE, "p.a") is None


def test_names_of_a_kind_come_sorted():
    assert registry().names(Kind.HANDLER) == ("p.a", "p.b")
    assert registry().names(Kind.STORE) == ()


def test_a_registry_cannot_be_changed():
    with pytest.raises(TypeError):
        registry().components[Kind.HANDLER, "p.c"] = component("c")


def test_an_origin_without_a_version_is_the_distribution_alone():
    assert registry().plugins[0].origin == "d"
