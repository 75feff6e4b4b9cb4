"""The result of discovery: every component by its full name, and every plugin with its status."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from streamer.contracts.components import Component, Kind
from streamer.core.errors import PluginError


class PluginStatus(StrEnum):
    """Whether a plugin was loaded."""

    LOADED = "loaded"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginInfo:
    """One plugin, as `streamer list` shows it."""

    name: str
    """The entry point's name, which is the prefix of its components; empty for built-in ones."""
    distribution: str
    version: str
    module: str = ""
    """The target of the entry point, `package.module` or `package.module:object`."""
    status: PluginStatus = PluginStatus.LOADED
    reason: str = ""
    """Why it is blocked."""
    components: tuple[Component, ...] = ()

    @property
    def origin(self) -> str:
        """Distribution and version, for messages."""
        return f"{self.distribution} {self.version}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Every usable component. Created once, at the start, and never changed."""

    components: Mapping[tuple[Kind, str], Component] = field(default_factory=dict)
    """By kind and full name, in the order of the names."""
    plugins: tuple[PluginInfo, ...] = ()
    """Built-ins first, then by name, including blocked plugins."""

    @classmethod
    def of(cls, plugins: Iterable[PluginInfo]) -> Self:
        """The registry of these plugins.

        Raises:
            PluginError: two components of one kind have the same full name.
        """
        ordered = tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.distribution)))
        found: dict[tuple[Kind, str], tuple[Component, PluginInfo]] = {}
        problems = []
        for plugin in ordered:
            for component in plugin.components:
                key = (component.kind, component.full_name)
                if key in found:
                    problems.append(
                        f"two components are called {component.kind} {component.full_name!r}: "
                        f"from {found[key][1].origin} and from {plugin.origin}; rename one of them"
                    )
                else:
                    found[key] = (component, plugin)
        if problems:
            raise PluginError("\n".join(problems))
        components = {key: found[key][0] for key in sorted(found)}
        return cls(components=MappingProxyType(components), plugins=ordered)

    def get(self, kind: Kind, name: str) -> Component | None:
        """The component with this name in the file; None when there is none."""
        return self.components.get((kind, name))

    def names(self, kind: Kind) -> tuple[str, ...]:
        """Full names of all components of a kind, sorted."""
        return tuple(name for found, name in self.components if found is kind)
