"""Loads settings from a file, and reports every problem."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from streamer.config.build import build, plugin_settings
from streamer.config.document import Document, Place, read_document
from streamer.config.environment import fill
from streamer.config.linter import Linter
from streamer.config.problems import in_order
from streamer.config.redaction import hide, secret_values
from streamer.config.schemas import Compile, SchemaReader
from streamer.config.sentences import shown, suggest
from streamer.config.settings import PluginSettings, Settings
from streamer.contracts.components import Component, Kind
from streamer.core.errors import ConfigError, PluginError


class Installed(Protocol):
    """A plugin, loaded or blocked."""

    @property
    def distribution(self) -> str:
        """Its distribution's name."""
        ...


class Found(Protocol):
    """The result of discovery."""

    @property
    def plugins(self) -> Sequence[Installed]:
        """All installed plugins, including blocked ones."""
        ...

    @property
    def components(self) -> Mapping[tuple[Kind, str], Component]:
        """By kind and full name."""
        ...


Examine = Callable[[Settings, Mapping[tuple[Kind, str], Component]], Iterable[tuple[str, Place, str]]]
"""Finds problems of settings and components, each with its code, place and message."""

Discover = Callable[[PluginSettings], Found]


def load(
    path: Path,
    *,
    discover: Discover,
    environ: Mapping[str, str] | None = None,
    compile_schema: Compile | None = None,
    examine: Examine | None = None,
) -> Settings:
    """The settings of a file. Starts nothing and needs no network.

    Args:
        path: the file.
        discover: loads the plugins that the file's `plugins` section allows, and returns their components. It may raise
            PluginError, each line of which becomes a problem.
        environ: the variables for `${…}`. Default: the environment of the process.
        compile_schema: compiles an action's JSON Schema as the service will, from the schema, its resources and its
            base URI (None for a schema that is in no file); raises ValueError.
        examine: finds the problems that would prevent a start, in settings without other problems.

    Raises:
        ConfigError: with every problem of the file, in the order of its lines.
    """
    document = read_document(path)
    if document.data is None:
        raise ConfigError(in_order(document.problems, document.file))
    fill(document, os.environ if environ is None else environ)
    found = _discovered(document, discover)
    absolute = path.absolute()
    reader = SchemaReader(document, absolute, compile_schema)
    linter = Linter(document, None if found is None else found.components, reader, absolute.parent)
    linter.run()
    secrets = secret_values(document, linter.secrets)
    if found is not None:
        _check_allowed(document, found)
    if found is None or document.problems:
        raise _error(document, secrets)
    settings = build(absolute, document.data, found.components, linter.schemas, secrets)
    for code, place, message in () if examine is None else examine(settings, found.components):
        document.problem(code, place, message + document.source(place))
    if document.problems:
        raise _error(document, secrets)
    return dataclasses.replace(settings, warnings=tuple(in_order(document.warnings, document.file)))


def _discovered(document: Document, discover: Discover) -> Found | None:
    try:
        return discover(plugin_settings(document.data))
    except PluginError as problem:
        for line in str(problem).splitlines():
            document.problem("plugin-error", ("plugins",), line, key=True)
        return None


def _error(document: Document, secrets: frozenset[str]) -> ConfigError:
    """Every problem, with secrets hidden in all messages."""
    problems = in_order(document.problems, document.file)
    return ConfigError([dataclasses.replace(problem, message=hide(problem.message, secrets)) for problem in problems])


def _check_allowed(document: Document, found: Found) -> None:
    allowed = plugin_settings(document.data).allow or ()
    installed = {_normal(plugin.distribution): plugin.distribution for plugin in found.plugins}
    for index, name in enumerate(allowed):
        if _normal(name) not in installed:
            place = ("plugins", "allow", index)
            hint = suggest(_normal(name), installed) or "; install it, or remove it from the list"
            source = document.source(place)
            message = f"no plugin of the distribution {shown(name, hidden=bool(source))}{source} is installed{hint}"
            document.problem("unknown-plugin", place, message)


def _normal(distribution: str) -> str:
    """Compares names as PEP 503 does."""
    return re.sub(r"[-_.]+", "-", distribution).lower()
