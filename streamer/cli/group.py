"""The group of all commands: each imported when it is named, errors told in one line, one exit status for each end."""

from __future__ import annotations

import contextlib
import difflib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import click

from streamer.cli import exits, output
from streamer.core.errors import ConfigError, StreamerError
from streamer.core.foreign_code import one_line, safe_repr


class Commands(click.Group):
    """A click group whose commands are imported when they are needed.

    Args:
        places: for each of our own commands the module that holds it, as a variable called `command`.
        attributes: passed on to click.
    """

    def __init__(self, *, places: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Our own commands, in the order of a first day with the program. Those of plugins are not listed, since
        finding them would load every plugin for each `--help`; `streamer list` shows them.
        """
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """Our own command, or one that a plugin brings; None when there is neither."""
        place = self._places.get(cmd_name)
        if place is not None:
            command: click.Command = importlib.import_module(place).command
            return command
        if "." not in cmd_name:
            # A plugin's command has its plugin's prefix: without a dot no plugin need be loaded for a typing error.
            return None
        from streamer.cli.commands_of_plugins import find

        return find(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's, with a near miss named."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            close = difflib.get_close_matches(name, self._places, 1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise click.UsageError(f"no such command: {name!r}{hint}", ctx)
        return name, command, args[1:]

    def invoke(self, ctx: click.Context) -> None:
        """Runs the command; with `--debug`, an error's traceback comes before its line."""
        try:
            super().invoke(ctx)
            # What is still in the buffer would otherwise meet a broken pipe where no one handles it.
            output.flush()
        except BrokenPipeError:
            output.drop()
            ctx.exit(exits.BROKEN_PIPE)
        except (click.exceptions.Exit, click.UsageError, KeyboardInterrupt):
            raise
        except BaseException:
            if ctx.params["debug"]:
                traceback.print_exc()
            raise

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs the command line and exits with its status. It always ends the process, by SystemExit."""
        del standalone_mode, prog_name
        with output.own_stdout():
            try:
                arguments = sys.argv[1:] if args is None else list(args)
                _refuse_what_is_no_text(arguments)
                status = super().main(
                    arguments, "streamer", complete_var, standalone_mode=False,
                    windows_expand_args=windows_expand_args, **extra,
                )  # fmt: skip
            except (click.Abort, KeyboardInterrupt):
                status = exits.INTERRUPTED
            except SystemExit as wanted:
                status = wanted.code
            except BaseException as error:  # noqa: BLE001 - the last place that can turn it into a line for a person
                status = _report(error)
        sys.exit(status)


def _refuse_what_is_no_text(arguments: Sequence[str]) -> None:
    """Names of files may be any bytes; everything else on the command line is text.

    Raises:
        click.UsageError: an argument is not UTF-8.
    """
    for number, argument in enumerate(arguments, 1):
        try:
            argument.encode()
        except UnicodeEncodeError:
            path = argument.partition("=")[2] if argument.startswith("-") else argument.removeprefix("@")
            if not os.path.exists(path):  # noqa: PTH110 - a Path may refuse such a name
                shown = os.fsencode(argument).decode("utf-8", "backslashreplace")
                raise click.UsageError(f"argument {number} is not UTF-8: {shown}") from None


def _report(error: BaseException) -> int:
    """Writes the error to stderr, each line naming the program, and returns the exit status."""
    status = exits.FAILED
    match error:
        case click.exceptions.NoArgsIsHelpError():
            # A group without a command: its help, as it is.
            with contextlib.suppress(OSError):
                error.show()
            return error.exit_code
        case click.UsageError():
            path = error.ctx.command_path if error.ctx is not None else "streamer"
            lines = [f"{_one_line(error.format_message()).rstrip('.')}; see '{path} --help'"]
            status = error.exit_code
        case click.ClickException():
            if isinstance(error, output.OutputError):
                output.drop()
            lines = [_one_line(error.format_message())]
            status = error.exit_code
        case ConfigError():
            count = len(error.problems)
            lines = [*map(str, error.problems), f"the configuration has {count} problem{'s' * (count != 1)}"]
        case StreamerError():
            lines = str(error).splitlines() or [type(error).__name__]
        case OSError(strerror=str(), filename=str() | bytes()):
            lines = [f"{os.fsdecode(error.filename)}: {error.strerror}"]
        case OSError(errno=errno.ENOSPC | errno.EDQUOT | errno.EFBIG | errno.EIO | errno.EBADF, strerror=str()):
            # Of `--help`, which click writes itself.
            output.drop()
            lines = [f"the output cannot be written: {error.strerror}"]
        case UnicodeEncodeError():
            lines = [f"a value is not UTF-8: {safe_repr(error.object, 200)}"]
            status = exits.USAGE
        case _:
            what = f"unexpected {one_line(error)}"
            lines = [f"{what}; this is a fault in streamer or in a plugin: 'streamer --debug …' shows where"]
            status = exits.FAULT
    for line in lines:
        output.note(f"streamer: {line}")
    return status


def _one_line(text: str) -> str:
    return " ".join(text.split())
