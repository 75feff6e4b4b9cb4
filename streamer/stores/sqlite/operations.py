"""The operations of the writer process, by number.

Each operation takes the state, its own number, whether a previous writer may have done it already, the time, and its
arguments; it returns plain values for the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from streamer.stores.sqlite.claim_queries import claim
from streamer.stores.sqlite.read_queries import counts, find, get, list_records, undelivered
from streamer.stores.sqlite.write_queries import (
    cancel,
    complete,
    enqueue,
    fail,
    keep,
    mark_delivered,
    purge,
    release,
    renew,
    requeue,
    update_progress,
)

Operation = Callable[..., Any]

_WRITES: Final[tuple[Operation, ...]] = (
    enqueue,
    claim,
    renew,
    update_progress,
    complete,
    fail,
    release,
    cancel,
    requeue,
    mark_delivered,
    purge,
    keep,
)
_READS: Final[tuple[Operation, ...]] = (undelivered, get, find, list_records, counts)

OPERATIONS: Final = _WRITES + _READS
FIRST_READ: Final = len(_WRITES)
"""Operations from this number on change nothing."""

NUMBERS: Final = {operation.__name__: number for number, operation in enumerate(OPERATIONS)}
