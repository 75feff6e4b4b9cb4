"""Reads the configuration file and finds the installed plugins, for commands and functions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.config.build import Components
    from streamer.config.document import Place
    from streamer.config.settings import PluginSettings, Settings
    from streamer.plugins.registry import Registry


def find_components(plugins: PluginSettings) -> Registry:
    """Every usable component, including the built-in ones.

    Raises:
        PluginError: a plugin is broken.
    """
    from streamer.plugins.manager import discover  # noqa: PLC0415 - commands that need no plugin start without them
    from streamer.runtime import builtins  # noqa: PLC0415 - as above

    return discover(plugins, builtins=[builtins])


def read(path: Path, environ: Mapping[str, str] | None = None, *, examined: bool = False) -> tuple[Settings, Registry]:
    """The checked file, and the components that it may use.

    Args:
        path: of the file.
        environ: the variables for `${NAME}`. Default: the process's own.
        examined: whether to also report problems that would prevent a start. Components are built for that but not
            entered.

    Raises:
        ConfigError: with every problem of the file and of the plugins.
    """
    from streamer.config import load  # noqa: PLC0415 - as above
    from streamer.engine.validation import Validator  # noqa: PLC0415 - as above

    found: list[Registry] = []

    def discover(plugins: PluginSettings) -> Registry:
        found.append(find_components(plugins))
        return found[-1]

    def examine(settings: Settings, components: Components) -> Iterable[tuple[str, Place, str]]:
        from streamer.runtime import preflight  # noqa: PLC0415 - only a check needs all that a service consists of

        return preflight.examine(settings, components)

    settings = load(
        path,
        discover=discover,
        environ=os.environ if environ is None else environ,
        compile_schema=Validator,
        examine=examine if examined else None,
    )
    return settings, found[-1]
