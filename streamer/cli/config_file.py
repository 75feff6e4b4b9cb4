"""Reads the configuration file and finds the installed plugins, for commands."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamer.cli.options import DEFAULT_CONFIG
from streamer.cli.output import expect_foreign_code
from streamer.core.errors import ConfigError
from streamer.runtime import configuration

if TYPE_CHECKING:
    from streamer.config.document import Document
    from streamer.config.settings import PluginSettings, Settings
    from streamer.plugins.registry import Registry


def read(path: Path, *, examined: bool = False) -> tuple[Settings, Registry]:
    """As `streamer.runtime.configuration.read`, with the output of plugins redirected."""
    expect_foreign_code()
    return configuration.read(path, examined=examined)


def find_components(plugins: PluginSettings) -> Registry:
    """As `streamer.runtime.configuration.find_components`, with the output of plugins redirected."""
    expect_foreign_code()
    return configuration.find_components(plugins)


def read_plugin_settings(path: Path) -> PluginSettings:
    """Which plugins the file allows to load; all of them without a file. The rest of the file may be invalid.

    Raises:
        ConfigError: the file was named and does not exist, or is not YAML.
    """
    from streamer.config.build import plugin_settings
    from streamer.config.settings import PluginSettings

    if _is_absent(path):
        return PluginSettings()
    return plugin_settings(_sound_document(path).data)


def url_of_service(path: Path) -> str:
    """The address of the file's service for a client on this machine; the default address without a file. The rest of
    the file may be invalid: a client need not have the service's environment.

    Raises:
        ConfigError: the file was named and does not exist, is not YAML, or a variable of `server` is not set.
        click.UsageError: the section `server` is invalid.
    """
    from streamer.config.environment import fill
    from streamer.config.settings import ServerSettings

    server = ServerSettings()
    section: dict[str, Any] = {}
    if not _is_absent(path):
        document = _sound_document(path)
        fill(document, os.environ)
        places = ("server.host", "server.port", "server.path")
        missing = [problem for problem in document.problems if problem.place in places]
        if missing:
            raise ConfigError(missing)
        given = document.data.get("server") if isinstance(document.data, dict) else None
        section = given if isinstance(given, dict) else {}
    host, port, route = (section.get(name, getattr(server, name)) for name in ("host", "port", "path"))
    if not (isinstance(host, str) and isinstance(port, int) and isinstance(route, str)):
        raise click.UsageError(f"{path}: the section 'server' is invalid; run 'streamer check', or pass --url")
    if port == 0:
        raise click.UsageError(f"{path}: server.port is 0, so the service chose a free port and logged it; pass --url")
    # A client cannot connect to an address that means every interface.
    host = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"{'wss' if section.get('tls') else 'ws'}://{f'[{host}]' if ':' in host else host}:{port}{route}"


def _is_absent(path: Path) -> bool:
    return path == DEFAULT_CONFIG and not path.exists()


def _sound_document(path: Path) -> Document:
    from streamer.config.document import read_document

    document = read_document(path)
    if document.data is None:
        raise ConfigError(document.problems)
    return document
