"""How far a request is, shown on standard error: a moving bar on a terminal, a line for each report otherwise."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streamer.core.messages import ProgressUpdate

Show = Callable[["ProgressUpdate"], None]


@contextlib.contextmanager
def shown_progress(action: str, *, quiet: bool) -> Iterator[Show]:
    """Yields what to call with each report.

    Args:
        action: the bar's title.
        quiet: show nothing at all.
    """
    if quiet:
        yield _nothing
    elif sys.stderr.isatty():
        with _bar(action) as show:
            yield show
    else:
        yield _line


def _nothing(_update: ProgressUpdate) -> None:
    """Shows nothing."""


def _line(update: ProgressUpdate) -> None:
    click.echo(f"{update.percentage:5.1f}%  {printable(update.message)}".rstrip(), err=True)


@contextlib.contextmanager
def _bar(action: str) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[message]}", markup=False),
        console=Console(stderr=True),
    )
    with progress:
        task = progress.add_task(action, total=100.0, message="")

        def show(update: ProgressUpdate) -> None:
            progress.update(task, completed=update.percentage, message=printable(update.message))

        yield show


def printable(text: str) -> str:
    """The text without what a terminal would obey: a message from afar must not move the cursor."""
    return "".join(character if character.isprintable() else " " for character in text)
