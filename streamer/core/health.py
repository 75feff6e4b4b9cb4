"""Whether the service can do all of its work, as its parts report it."""

from __future__ import annotations

from collections.abc import Callable


class Health:
    """What is wrong now, of each part that has reported something.

    Args:
        on_change: called with the part, and with what is wrong in one line, or None once it works again.
    """

    def __init__(self, on_change: Callable[[str, str | None], object] | None = None) -> None:
        self._problems: dict[str, str] = {}
        self._on_change = on_change

    def report(self, part: str, problem: str | None) -> None:
        """The part does not work, and why, in one line; or it does (None). The same again changes nothing."""
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
        """What is wrong, a line each; empty when all works."""
        return tuple(self._problems.values())
