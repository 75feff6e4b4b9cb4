"""The configuration file and the installed plugins, as commands need them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streamer.config.settings import PluginSettings, Settings
    from streamer.plugins.registry import Registry


def find_components(plugins: PluginSettings) -> Registry:
    """Every component that may be used, the built-in ones too.

    Raises:
        PluginError: a plugin is broken.
    """
    from streamer.plugins.manager import discover
    from streamer.runtime import builtins

    return discover(plugins, builtins=[builtins])


def read(path: Path) -> tuple[Settings, Registry]:
    """The checked file, and the components that it may use.

    Raises:
        ConfigError: with every problem of the file.
        PluginError: a plugin is broken.
    """
    from streamer.config import load

    found: list[Registry] = []

    def discover(plugins: PluginSettings) -> Registry:
        found.append(find_components(plugins))
        return found[-1]

    settings = load(path, discover=discover, environ=os.environ)
    return settings, found[-1]
