"""Shows the progress of a call on standard error: a progress bar on a terminal, one line per report otherwise."""

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
    """A percentage with at most one decimal."""
    return f"{value:.1f}".removesuffix(".0") + "%"


def display(action: str, *, quiet: bool) -> Display:
    """The display for a call.

    Args:
        action: the label of the bar.
        quiet: show nothing.
    """
    if quiet:
        return Display()
    if sys.stderr.isatty() and os.environ.get("TERM") not in ("dumb", "unknown"):
        return Bar(action)
    return Lines()


class Display:
    """Shows nothing."""

    live = False
    """Whether it can show more than the service reports by itself, such as the attempt number."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stops every animation."""

    def queued(self, request_id: str) -> None:
        """The service has stored the request, which now continues without this client."""

    def connection(self, state: ConnectionState) -> None:
        """The state of the connection has changed."""

    def attempt(self, number: int, most: int) -> None:
        """Attempt `number` of at most `most` is running."""

    def report(self, update: ProgressUpdate) -> None:
        """The handler has reported progress."""

    def succeeded(self) -> None:
        """The request has ended with a result."""


class Lines(Display):
    """One line per event."""

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
    """The same lines above a bar. The bar appears once the request is queued: a direct answer needs none."""

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
            # The handler may not have reported its last step.
            self._progress.update(self._task, completed=100.0)

    def _begin(self) -> None:
        if self._progress is not None:
            return
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.table import Column

        # On a narrow terminal the message is truncated, and the percentage stays.
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
