"""Discovers plugins: from entry points to a checked registry."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import re
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Final, Protocol

from streamer import __version__
from streamer.core.errors import PluginError
from streamer.core.foreign_code import one_line
from streamer.plugins.checks import name_problem
from streamer.plugins.plugin_hooks import offered
from streamer.plugins.registry import PluginInfo, PluginStatus, Registry

GROUP: Final = "streamer"
"""The entry-point group of plugins."""

OWN_DISTRIBUTION: Final = "streamer-router"


class Permissions(Protocol):
    """Which distributions may load: the `plugins:` section of the file."""

    @property
    def allow(self) -> tuple[str, ...] | None:
        """None: all installed ones."""
        ...

    @property
    def block(self) -> tuple[str, ...]:
        """Overrides `allow`."""
        ...


def normalised(distribution: str) -> str:
    """A distribution's name as PEP 503 compares it: `My_Plugin` and `my-plugin` are equal."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def discover(
    settings: Permissions,
    *,
    builtins: Sequence[object] = (),
    entry_points: Callable[..., Iterable[importlib.metadata.EntryPoint]] = importlib.metadata.entry_points,
) -> Registry:
    """Loads every allowed plugin and checks its components.

    Args:
        settings: which distributions may load. Others are never imported.
        builtins: modules or objects with hooks, whose components get no prefix.
        entry_points: called with `group=`; `importlib.metadata.entry_points` or a replacement.

    Raises:
        PluginError: one line for each problem, for all plugins.
    """
    problems: list[str] = []
    plugins: list[PluginInfo] = []
    to_load: dict[str, tuple[PluginInfo, importlib.metadata.EntryPoint]] = {}
    for entry_point in entry_points(group=GROUP):
        info = _describe(entry_point)
        reason = _why_blocked(info, settings)
        wrong_name = name_problem(info.name)
        if reason:
            plugins.append(dataclasses.replace(info, status=PluginStatus.BLOCKED, reason=reason))
        elif wrong_name is not None:
            problems.append(f"{_title(info)}: {wrong_name}; {_how_to_fix(info)}")
        elif info.name in to_load:
            problems.append(_conflict(info, to_load[info.name][0]))
        else:
            to_load[info.name] = (info, entry_point)
    # Built-ins cannot be blocked, so their problems name no fix.
    own = PluginInfo(name="", distribution=OWN_DISTRIBUTION, version=__version__)
    for builtin in builtins:
        module = builtin.__name__ if isinstance(builtin, ModuleType) else type(builtin).__name__
        plugins.append(_loaded(dataclasses.replace(own, module=module), builtin, problems))
    for name in sorted(to_load):
        info, entry_point = to_load[name]
        try:
            plugin = entry_point.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a foreign module does when it is imported
            problems.append(
                f"{_title(info)}: importing {info.module} failed: {one_line(error)}; fix or uninstall it, or "
                f"{_how_to_fix(info)}"
            )
        else:
            plugins.append(_loaded(info, plugin, problems))
    if problems:
        raise PluginError("\n".join(problems))
    return Registry.of(plugins)


def _loaded(info: PluginInfo, plugin: object, problems: list[str]) -> PluginInfo:
    try:
        # A test checks the schemas of the built-ins, which would take most of the time of every start.
        components = offered(plugin, info.name or info.module, schemas=bool(info.name))
    except PluginError as error:
        fix = f"; {_how_to_fix(info)}" if info.name else ""
        problems.extend(f"{_title(info)}: {line}{fix}" for line in str(error).splitlines())
        return info
    filled = tuple(
        dataclasses.replace(component, namespace=info.name, distribution=info.distribution, version=info.version)
        for component in components
    )
    return dataclasses.replace(info, components=filled)


def _describe(entry_point: importlib.metadata.EntryPoint) -> PluginInfo:
    distribution = entry_point.dist
    # A broken installation may have metadata without a name; its entry point still identifies it.
    name = (distribution.name if distribution is not None else None) or f"unknown-distribution-of-{entry_point.name}"
    version = (distribution.version if distribution is not None else None) or ""
    return PluginInfo(name=entry_point.name, distribution=name, version=version, module=entry_point.value)


def _why_blocked(info: PluginInfo, settings: Permissions) -> str:
    name = normalised(info.distribution)
    if name in {normalised(blocked) for blocked in settings.block}:
        return "named in plugins.block"
    if settings.allow is not None and name not in {normalised(allowed) for allowed in settings.allow}:
        return "not named in plugins.allow"
    return ""


def _conflict(second: PluginInfo, first: PluginInfo) -> str:
    one, other = sorted((first.origin, second.origin))
    return (
        f"two plugins have the name {second.name!r}, in the distributions {one} and {other}; "
        f"uninstall one of them, or block it with plugins.block"
    )


def _title(info: PluginInfo) -> str:
    return f"plugin {info.name!r} of the distribution {info.origin}" if info.name else f"built-in {info.module}"


def _how_to_fix(info: PluginInfo) -> str:
    return f"block it with plugins.block: [{info.distribution}]"
