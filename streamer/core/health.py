"""The health of the service, as its parts report it."""

from __future__ import annotations

from collections.abc import Callable


class Health:
    """The current problem of each part that has reported one.

    Args:
        on_change: called with the part, and with its problem on one line, or None once it works again.
    """

    def __init__(self, on_change: Callable[[str, str | None], object] | None = None) -> None:
        self._problems: dict[str, str] = {}
        self._on_change = on_change

    def report(self, part: str, problem: str | None) -> None:
        """Reports the problem of a part on one line, or None when it works. Reporting the same again changes
        nothing.
        """
        if self._problems.get(part) == problem:
            return
        if problem is None:
            del self._problems[part]
        else:
            self._problems[part] = problem
        if self._on_change is not None:
            self._on_change(part, problem)

    @property
    def problems(self) -> tuple[str, ...]:
        """The current problems, one line each; empty when everything works."""
        return tuple(self._problems.values())
