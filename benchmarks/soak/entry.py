"""`streamer run`, on a clock that the soak can set: `python -m benchmarks.soak.entry CONFIG CLOCK`.

Only what asks the `Clock` for the time sees it jump: everything that is stored and shown. Sleeping and measuring go on
as they do when a machine's clock is set; the time that the kernel and the log's own lines show stays right.
"""

from __future__ import annotations

import mmap
import struct
import sys
from pathlib import Path

from streamer.cli.config_file import read
from streamer.core.clock import SystemClock
from streamer.core.errors import StreamerError
from streamer.runtime.logs import configure
from streamer.runtime.serve import serve

OFFSET = struct.Struct("<d")
TAKE_OVER = 30.0
"""Seconds to wait for a service that drains."""


class ShiftedClock(SystemClock):
    """The machine's clock, and beside it the seconds that stand in a file."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._offset = mmap.mmap(file.fileno(), OFFSET.size, access=mmap.ACCESS_READ)

    def now(self) -> float:  # type: ignore[override]  # the base has a function of the time module in its place
        return SystemClock.now() + OFFSET.unpack_from(self._offset)[0]


def main() -> None:
    settings, registry = read(Path(sys.argv[1]))
    logger = configure(settings.logs.level, settings.logs.format, secrets=settings.secrets)
    try:
        serve(settings, registry.components, logger=logger, clock=ShiftedClock(Path(sys.argv[2])), wait=TAKE_OVER)
    except StreamerError as problem:
        sys.exit(f"Error: {problem}")


if __name__ == "__main__":
    main()
