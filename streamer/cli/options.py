"""Options that several commands share, and the examples in the help of every command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from streamer.core.units import parse_duration

DEFAULT_CONFIG: Final = Path("streamer.yaml")

config_option: Final[Callable[[Any], Any]] = click.option(
    "--config",
    "-c",
    "config_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    envvar="STREAMER_CONFIG",
    show_envvar=True,
    metavar="PATH",
    help="The configuration file. Default: ./streamer.yaml",
)

json_option: Final[Callable[[Any], Any]] = click.option(
    "--json", "as_json", is_flag=True, help="Write JSON, for scripts."
)


def block(title: str, *lines: str) -> str:
    """A titled block of a command's help whose line breaks click keeps."""
    return "\b\n" + "\n".join([f"{title}:", *(f"  {line}" for line in lines)])


def examples(*lines: str) -> str:
    """The Examples section of a command's help."""
    return block("Examples", *lines)


class Duration(click.ParamType[float]):
    """The seconds of a duration with a unit. `0` needs no unit."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Raises a usage error that shows the correct format."""
        if isinstance(value, float):
            return value
        if value == "0":
            return 0.0
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
