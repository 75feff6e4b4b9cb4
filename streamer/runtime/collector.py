"""Python's collector of cyclic garbage, in a process that serves."""

from __future__ import annotations

import gc
from typing import Final

YOUNG: Final = 2_000
"""Objects that are made, and not freed, between two looks at the young ones. Python's own number suits programs that
make few; requests under way are many, all of them found alive. Not much larger: what a failed request leaves behind in
its traceback, such as its payload, waits for the next look.
"""


def leave_alone_what_exists() -> None:
    """What a start has made lives for as long as the process: the collector need not go through it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG)
