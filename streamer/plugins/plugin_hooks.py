"""Loads one plugin with pluggy: finds, checks and calls its hooks, and catches the mistakes that pluggy ignores."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator
from typing import cast

import pluggy

from streamer.contracts.components import Component
from streamer.core.errors import PluginError
from streamer.core.foreign_code import one_line
from streamer.plugins import hookspecs
from streamer.plugins.checks import returned_problems
from streamer.plugins.hookspecs import KINDS, PROJECT


def offered(plugin: object, name: str, *, schemas: bool = True) -> list[Component]:
    """Every component that the plugin's hooks return, sorted by kind and name.

    Args:
        plugin: a module or an object.
        name: the plugin's name in pluggy's messages.
        schemas: whether to check its schemas.

    Raises:
        PluginError: one line for each problem.
    """
    if inspect.isclass(plugin):
        raise PluginError(f"the entry point names the class {plugin.__name__}; name a module, or an instance of it")
    implementations = _implementations(plugin, name)
    problems = list(_undecorated(plugin, offers_nothing=not implementations))
    components: list[Component] = []
    for hook, implementation in implementations:
        try:
            components += _call(hook, implementation, schemas)
        except PluginError as error:
            problems.append(str(error))
    if not problems and not components:
        problems.append(
            f"it has no components: no function with @streamer.hookimpl returns one (hooks: {', '.join(KINDS)})"
        )
    if problems:
        raise PluginError("\n".join(problems))
    # pluggy calls the last registered first; sorting by name makes the order irrelevant.
    return sorted(components, key=lambda component: (component.kind, component.name))


def _implementations(plugin: object, name: str) -> list[tuple[str, pluggy.HookImpl]]:
    # A manager for each plugin, so that a plugin cannot affect others through its manager.
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    try:
        manager.register(plugin, name)
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise PluginError("\n".join(_unknown_hooks(manager, plugin)) or " ".join(str(error).split())) from error
    callers = manager.get_hookcallers(plugin) or []
    return [(caller.name, each) for caller in callers if caller.has_spec() for each in caller.get_hookimpls()]


def _unknown_hooks(manager: pluggy.PluginManager, plugin: object) -> list[str]:
    callers = manager.get_hookcallers(plugin) or []
    return [f"unknown hook {caller.name!r}{_did_you_mean(caller.name)}" for caller in callers if not caller.has_spec()]


def _did_you_mean(name: str) -> str:
    close = difflib.get_close_matches(name, KINDS, 1)
    return f" (did you mean {close[0]!r}?)" if close else f" (hooks: {', '.join(KINDS)})"


def _undecorated(plugin: object, *, offers_nothing: bool) -> Iterator[str]:
    """Functions that look like hooks but lack the mark, which pluggy ignores silently."""
    for name in dir(plugin):
        if name not in KINDS and not (offers_nothing and difflib.get_close_matches(name, KINDS, 1, 0.8)):
            continue
        function = inspect.getattr_static(plugin, name)
        if callable(function) and not hasattr(function, f"{PROJECT}_impl"):
            meant = "" if name in KINDS else _did_you_mean(name)
            yield f"the function {name!r} is not decorated with @streamer.hookimpl, so it is never called{meant}"


def _call(hook: str, implementation: pluggy.HookImpl, schemas: bool) -> list[Component]:
    function = implementation.function
    if implementation.hookwrapper or implementation.wrapper:
        raise PluginError(f"{hook} is a wrapper; plugins can only add components")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise PluginError(f"{hook} is asynchronous; hooks are plain functions: write def, not async def")
    if inspect.isgeneratorfunction(function):
        raise PluginError(f"{hook} is a generator; return a list instead of yielding")
    try:
        returned = function()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise PluginError(f"{hook} failed: {one_line(error)}") from error
    if inspect.iscoroutine(returned):
        returned.close()
    problems = list(returned_problems(hook, returned, schemas=schemas))
    if problems:
        raise PluginError("\n".join(problems))
    return list(cast("list[Component]", returned))
