"""Where this process is to die: `CRASH_AT=recorded.before` or, at the second time that it gets there, `run.after#2`."""

import os
import signal

POINT, _, _COUNT = os.environ.get("CRASH_AT", "").partition("#")
_left = int(_COUNT or 1)


def reach(point: str) -> None:
    global _left  # noqa: PLW0603 - one process, one death
    if point == POINT:
        _left -= 1
        if _left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
