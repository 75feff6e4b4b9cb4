"""What becomes of a call, shown on standard error: a moving bar on a terminal, a line for each report otherwise."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Self

from streamer.cli.output import note
from streamer.core.printable import printable

if TYPE_CHECKING:
    from streamer.client import ConnectionState
    from streamer.core.messages import ProgressUpdate


def percent(value: float) -> str:
    """A percentage with at most one digit behind the point."""
    return f"{value:.1f}".removesuffix(".0") + "%"


def display(action: str, *, quiet: bool) -> Display:
    """What shows a call of this action.

    Args:
        action: what the bar is called.
        quiet: show nothing at all.
    """
    if quiet:
        return Display()
    if sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        return Bar(action)
    return Lines()


class Display:
    """Shows nothing."""

    live = False
    """Whether it shows where the request is all the time, and so may be told more than the service says by itself."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leaves nothing behind that still moves."""

    def queued(self, request_id: str) -> None:
        """The request is stored, and runs whatever happens here."""

    def connection(self, state: ConnectionState) -> None:
        """The connection has changed."""

    def attempt(self, number: int, most: int) -> None:
        """The request runs for the so-manieth time, of so many at most."""

    def report(self, update: ProgressUpdate) -> None:
        """The handler has said how far it is."""

    def succeeded(self) -> None:
        """The request has ended with a result."""


class Lines(Display):
    """A line for each thing that happens."""

    def __init__(self) -> None:
        self._waiting = False

    def queued(self, request_id: str) -> None:
        self._line(f"queued as {request_id}")

    def connection(self, state: ConnectionState) -> None:
        if state.name == "waiting":
            lost = "connection lost, " if not self._waiting else ""
            self._waiting = True
            self._line(f"{lost}reconnecting in {state.delay:.1f}s, try {state.tries}{_why(state)}")
        elif state.name == "open" and self._waiting:
            self._waiting = False
            self._line("reconnected")

    def attempt(self, number: int, most: int) -> None:
        self._line(f"attempt {number} of {most}")

    def report(self, update: ProgressUpdate) -> None:
        self._line(f"{percent(update.percentage):>6}  {update.message}".rstrip())

    def _line(self, text: str) -> None:
        note(text)


class Bar(Lines):
    """The same above a bar, which appears once the request is queued: a direct answer needs none."""

    live = True

    def __init__(self, action: str) -> None:
        super().__init__()
        self._action = printable(action)
        self._progress: Any = None
        self._task: Any = None

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def queued(self, request_id: str) -> None:
        super().queued(request_id)
        self._begin()

    def attempt(self, number: int, most: int) -> None:
        if number > 1:
            super().attempt(number, most)
            if self._progress is not None:
                self._progress.reset(self._task, message="")

    def report(self, update: ProgressUpdate) -> None:
        self._begin()
        message = printable(update.message)
        self._progress.update(self._task, completed=update.percentage, message=message)

    def succeeded(self) -> None:
        if self._progress is not None:
            # The handler need not have reported its last step.
            self._progress.update(self._task, completed=100.0)

    def _begin(self) -> None:
        if self._progress is not None:
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column

        # On a narrow terminal the words give way, and the percentage stays.
        words = Column(ratio=1, no_wrap=True, overflow="ellipsis")
        name = Column(no_wrap=True, overflow="ellipsis", max_width=24)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, table_column=name),
            BarColumn(bar_width=20),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[message]}", markup=False, table_column=words),
            console=Console(stderr=True),
            expand=True,
        )
        self._task = self._progress.add_task(self._action, total=100.0, message="")
        self._progress.start()

    def _line(self, text: str) -> None:
        if self._progress is None:
            note(text)
            return
        from rich.text import Text

        self._progress.console.print(Text(printable(text)), soft_wrap=True)


def _why(state: ConnectionState) -> str:
    return f": {state.reason}" if state.reason else ""
