"""The group of all commands. It imports each command when it is used, prints errors on one line, and gives each outcome
one exit status.
"""

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
    """A click group that imports its commands when they are used.

    Args:
        places: for each built-in command the module that defines it, in a variable called `command`.
        attributes: passed on to click.
    """

    def __init__(self, *, places: Mapping[str, str], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._places = places

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The built-in commands, in the order of a first day with the program. The commands of plugins are not
        included, since finding them would load every plugin for each `--help`; `streamer list` shows them.
        """
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        """A built-in command, or one that a plugin brings; None when there is neither."""
        place = self._places.get(cmd_name)
        if place is not None:
            command: click.Command = importlib.import_module(place).command
            return command
        if "." not in cmd_name:
            # A plugin's command has its plugin's prefix. A name without a dot is not one, so a typing error loads no
            # plugins.
            return None
        from streamer.cli.commands_of_plugins import find

        return find(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As in click, with a suggestion for a misspelled name."""
        name = args[0]
        command = self.get_command(ctx, name)
        if command is None:
            close = difflib.get_close_matches(name, self._places, 1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise click.UsageError(f"no such command: {name!r}{hint}", ctx)
        return name, command, args[1:]

    def invoke(self, ctx: click.Context) -> None:
        """Runs the command. With `--debug`, an error's traceback is printed before its message."""
        try:
            super().invoke(ctx)
            # Flushed here, so that a broken pipe is handled; at the exit of the interpreter it would not be.
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
    """Names of files may be any bytes; every other argument must be text.

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
    """Writes the error to stderr, the program's name in front of each line, and returns the exit status."""
    status = exits.FAILED
    match error:
        case click.exceptions.NoArgsIsHelpError():
            # A group without a command: only its help is printed.
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
            # This is the output of `--help`, which click writes itself.
            output.drop()
            lines = [f"cannot write to standard output: {error.strerror}"]
        case UnicodeEncodeError():
            lines = [f"a value is not UTF-8: {safe_repr(error.object, 200)}"]
            status = exits.USAGE
        case _:
            what = f"unexpected {one_line(error)}"
            lines = [f"{what}; this is a bug in streamer or in a plugin: 'streamer --debug …' shows the traceback"]
            status = exits.FAULT
    for line in lines:
        output.note(f"streamer: {line}")
    return status


def _one_line(text: str) -> str:
    return " ".join(text.split())
