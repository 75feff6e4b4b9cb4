"""Everything that our commands write: lines, JSON and tables to standard output, notes to standard error.

Control characters, which a terminal would execute, are escaped here for every command. Colours and frames are used only
on a terminal.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final, TextIO

import click

from streamer.cli import exits
from streamer.core.printable import printable, printable_json, printable_lines
from streamer.streams import standard

_NARROWEST: Final = 20
"""The least width of a folding column, in characters, however narrow the terminal is."""


_own: TextIO | None = None
"""Standard output as it was when the command started."""


class OutputError(click.ClickException):
    """Standard output cannot be written, for example because the disk is full."""

    exit_code = exits.FAILED

    def __init__(self, problem: OSError) -> None:
        super().__init__(f"cannot write to standard output: {problem.strerror or problem}")


@contextlib.contextmanager
def own_stdout() -> Iterator[None]:
    """Within this context, `expect_foreign_code` can reserve standard output for our commands."""
    global _own  # noqa: PLW0603 - there is one standard output
    before, _own = _own, sys.stdout
    try:
        yield
    finally:
        # Plugins may print again at the end of the process.
        if sys.stdout is sys.stderr and not standard.has_whole_process():
            sys.stdout = _own
        _own = before


def expect_foreign_code() -> None:
    """Redirects the output of other code, such as plugins that are imported, to standard error, since ours may be
    JSON.
    """
    if _own is not None:
        sys.stdout = sys.stderr


def leave_stdout_to_foreign_code() -> None:
    """For a command of a plugin, which may write to standard output."""
    if _own is not None:
        sys.stdout = _own
        standard.give_back_stdout()


def flush() -> None:
    """Writes everything that is still buffered.

    Raises:
        BrokenPipeError: the reader closed the output.
        OutputError: it cannot be written.
    """
    with _writing():
        (_own or sys.stdout).flush()


def drop() -> None:
    """The interpreter flushes standard output once more at its exit, when it cannot be written any longer."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, (_own or sys.stdout).fileno())
        os.close(nowhere)


def say(line: str = "") -> None:
    """Writes one line to standard output; control characters are escaped."""
    _write(printable(line))


def say_text(text: str) -> None:
    """Writes a text of several lines; other control characters are escaped."""
    _write(printable_lines(text).rstrip("\n"))


def note(line: str) -> None:
    """Writes one line to standard error; control characters are escaped. A closed standard error is no failure."""
    with contextlib.suppress(OSError):
        click.echo(printable(line), err=True)


def _write(text: str | bytes) -> None:
    with _writing():
        click.echo(text, file=_own or sys.stdout)


@contextlib.contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise OutputError(problem) from problem


def json_bytes(value: Any, *, pretty: bool = True) -> bytes:
    """One JSON value in UTF-8, as RFC 8259 requires, whatever the terminal's encoding is; without a line break at the
    end.

    Mappings and sets of other types are written as objects and arrays.
    """
    text = json.dumps(
        value,
        indent=2 if pretty else None,
        separators=None if pretty else (",", ":"),
        ensure_ascii=False,
        default=_plain,
    )
    # A lone surrogate has no UTF-8 form; it is written as a question mark.
    return printable_json(text.encode("utf-8", "replace"))


def write_json(value: Any, *, pretty: bool = True) -> None:
    """Writes one JSON value and a line break."""
    _write(json_bytes(value, pretty=pretty))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, AbstractSet) else str(value)


def write_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, folding: Collection[str] = ()) -> None:
    """Writes a table: with rich on a terminal; otherwise as aligned text, one line per row and nothing truncated, for
    grep.

    Args:
        columns: the titles.
        rows: one cell for each column.
        folding: titles of the columns that may wrap on a terminal; the others, such as ids that are copied, stay on one
            line.
    """
    clean = [[printable(" ".join(cell.split())) or "-" for cell in row] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    if (_own or sys.stdout).isatty():
        _write_rich_table(clean, widths, [column in folding for column in columns])
        return
    for row in clean:
        _write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _write_rich_table(rows: Sequence[Sequence[str]], widths: Sequence[int], folds: Sequence[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, fold in zip(rows[0], folds, strict=True):
        table.add_column(title, overflow="fold", no_wrap=not fold)
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    console = Console(file=_own)
    # rich would truncate what does not fit; on a terminal that is too narrow, long lines wrap instead.
    needed = sum(2 + (min(width, _NARROWEST) if fold else width) for width, fold in zip(widths, folds, strict=True))
    with _writing():
        Console(file=_own, width=max(console.width, needed)).print(table)


def write_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Writes names and values, one pair per line, aligned; further lines of a value are indented to its first."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        first, *rest = map(printable, value.splitlines() or ["-"])
        _write(f"{click.style(name.ljust(width), bold=True)}  {first}")
        for line in rest:
            _write(f"{' ' * width}  {line}")
