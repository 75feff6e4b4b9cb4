"""Commands that plugins bring."""

from __future__ import annotations

import os
from pathlib import Path

import click


def find(name: str) -> click.Command | None:
    """The command of this full name (`plugin.command`); None when no plugin brings it.

    Raises:
        PluginError: a plugin is broken.
        click.ClickException: what the plugin made is no click command.
    """
    from streamer.cli.options import DEFAULT_CONFIG
    from streamer.cli.output import leave_stdout_to_foreign_code
    from streamer.cli.reading import find_components, read_plugin_settings
    from streamer.contracts.components import BuildContext, Kind
    from streamer.runtime.building import naming

    config_path = Path(os.environ.get("STREAMER_CONFIG") or DEFAULT_CONFIG)
    component = find_components(read_plugin_settings(config_path)).get(Kind.COMMAND, name)
    if component is None:
        return None
    with naming(component):
        command = component.factory({}, BuildContext(base_dir=Path.cwd()))
    if not isinstance(command, click.Command):
        raise click.ClickException(
            f"the command {name!r} of {component.distribution} is of type {type(command).__name__}, not click.Command"
        )
    leave_stdout_to_foreign_code()
    return command
