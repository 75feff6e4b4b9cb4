"""Commands, exports and emulators that plugins bring."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from streamer.contracts.components import Component, Kind
    from streamer.plugins.registry import Registry


def find(name: str) -> click.Command | None:
    """The command with this full name (`plugin.command`); None when no plugin brings it.

    Raises:
        PluginError: a plugin is broken.
        click.ClickException: the plugin's factory did not return a click command.
    """
    from streamer.contracts.components import Kind

    component = _registry().get(Kind.COMMAND, name)
    return None if component is None else _command(component)


class CommandsOfPlugins(click.Group):
    """A group whose commands are the components of one kind that installed plugins bring.

    Args:
        kind: the kind's value.
        attributes: passed on to click.
    """

    def __init__(self, *, kind: str, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._kind = kind

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The installed components whose plugins may load."""
        from streamer.cli.output import leave_stdout_to_foreign_code

        names = list(_registry().names(self._of()))
        leave_stdout_to_foreign_code()
        return names

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """The command with this name; None when no plugin brings it."""
        return self._found(cmd_name, None)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click, with a hint how to install the missing plugin."""
        from streamer.contracts.extras import how_to_install

        name = args[0]
        command = self._found(name, _named_config(args[1:]))
        if command is None:
            how = how_to_install(self._of(), name)
            close = difflib.get_close_matches(name, self.list_commands(ctx), 1)
            hint = f"; {how}" if how else f" (did you mean {close[0]!r}?)" if close else ""
            raise click.UsageError(f"unknown {self._kind} {name!r}{hint}", ctx)
        return name, command, args[1:]

    def _found(self, name: str, config_path: Path | None) -> click.Command | None:
        component = _registry(config_path).get(self._of(), name)
        return None if component is None else _command(component)

    def _of(self) -> Kind:
        from streamer.contracts.components import Kind

        return Kind(self._kind)


def _named_config(arguments: Sequence[str]) -> Path | None:
    """The configuration file that a command's arguments name. It decides which plugins may load, so it is needed before
    the arguments are parsed.
    """
    for argument, following in pairwise([*arguments, ""]):
        name, equals, value = argument.partition("=")
        if name == "--config":
            found = value if equals else following
        elif argument.startswith("-c"):
            found = argument.removeprefix("-c") or following
        else:
            continue
        return Path(found) if found else None
    return None


def _registry(config_path: Path | None = None) -> Registry:
    from streamer.cli.config_file import find_components, read_plugin_settings
    from streamer.cli.options import DEFAULT_CONFIG

    config_path = config_path or Path(os.environ.get("STREAMER_CONFIG") or DEFAULT_CONFIG)
    return find_components(read_plugin_settings(config_path))


def _command(component: Component) -> click.Command:
    from streamer.cli.output import leave_stdout_to_foreign_code
    from streamer.contracts.components import BuildContext
    from streamer.runtime.component_factory import naming

    with naming(component):
        command = component.factory({}, BuildContext(base_dir=Path.cwd()))
    if not isinstance(command, click.Command):
        what = f"the {component.kind} {component.full_name!r} of {component.distribution}"
        raise click.ClickException(f"{what} is of type {type(command).__name__}; it must be a click.Command")
    leave_stdout_to_foreign_code()
    return command
