"""A record as an item of the table, and back; and the keys by which the indexes find it. Pure."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import msgspec

from streamer.core.attempts import Attempt
from streamer.core.messages import ErrorBody
from streamer.core.principal import Principal
from streamer.core.records import QUEUED, RequestRecord, Status
from streamer_aws.dynamodb.values import Item, Value, as_json, before, data, micros, number, text

READY: Final = "ready"
"""Lane of what is PENDING: by priority, action, tenant and owner, then in the order in which it was stored."""
TIMED: Final = "timed"
"""Lane of what waits for a time: the end of a lease, or the next attempt."""
ENDED: Final = "ended"
"""Lane of what has ended, by when it did."""
UNTOLD: Final = "ended_undelivered"
"""Beside the expiries: what has ended and whose owner was not told, by when it ended."""

_TEXTS: Final = ("owner", "id", "action", "connection_id", "address", "worker", "message")
_BYTES: Final = ("payload", "progress_metadata", "result")
_INTEGERS: Final = ("max_attempts", "priority", "attempts", "fence", "seq")
_TIMES: Final = (
    "created_at", "expires_at", "due_at", "percentage", "updated_at", "started_at", "finished_at", "delivered_at",
)  # fmt: skip

_JSON: Final[dict[str, Any]] = {
    "metadata": msgspec.json.Decoder(dict[str, str]),
    "principal": msgspec.json.Decoder(Principal),
    "error": msgspec.json.Decoder(ErrorBody),
    "history": msgspec.json.Decoder(tuple[Attempt, ...]),
}


class Stored(NamedTuple):
    """A record with what the table knows of it besides."""

    record: RequestRecord
    number: int
    """Rises with each record that a process stores: the order among those made at the same time."""
    version: str
    """Of its last write; every write gives it a new one."""
    away: Mapping[str, str] = MappingProxyType({})
    """What is too large for an item, `payload` or `result`, by the names of the objects that hold it. It is empty in
    the record."""


class Layout(NamedTuple):
    """What the keys of the indexes depend on besides the record."""

    shards: int
    """In how many parts each lane is kept."""
    retention: float
    """Seconds for which an ended record is kept."""
    ended_undelivered: bool = False
    """Whether it can be asked what has ended and was not told. It costs two more writes of an index a request."""


def to_item(stored: Stored, layout: Layout) -> Item:
    """The item of a record, with its keys in the indexes. What is None or empty is left out."""
    record, sequence, version, away = stored
    item: Item = {name: text(value) for name in _TEXTS if (value := getattr(record, name))}
    item |= {name: data(value) for name in _BYTES if (value := getattr(record, name)) and name not in away}
    item |= {f"{name}_at": text(place) for name, place in away.items()}
    item |= {name: number(getattr(record, name)) for name in _INTEGERS}
    item |= {name: number(value) for name in _TIMES if (value := getattr(record, name)) is not None}
    item |= {name: as_json(value) for name in _JSON if (value := getattr(record, name))}
    item["status"] = text(record.status.value)
    item["number"] = number(sequence)
    item["version"] = text(version)
    if record.tenant:
        item["tenant"] = text(record.tenant)
    item |= keys(stored, layout)
    return item


def keys(stored: Stored, layout: Layout) -> Item:
    """Where the indexes keep the record; what is missing, it does not stand in."""
    record, sequence, version, _ = stored
    shard = shard_of(record.owner, record.id, layout.shards)
    moment = f"{micros(record.created_at):020d}#{sequence:020d}"
    found: Item = {"listing": text(f"all#{shard}"), "made": text(f"{moment}#{_hashed(record.owner, record.id)}")}
    if record.delivered_at is None:
        found["undelivered"] = text(moment)
    if record.due_at is None:
        ended = record.updated_at if record.finished_at is None else record.finished_at
        found["lane"], found["place"] = text(f"{ENDED}#{shard}"), text(timed(ended, version))
        found["gone_at"] = number(gone_at(ended, layout.retention))
        if layout.ended_undelivered and record.delivered_at is None:
            found["expiry"], found["expires"] = text(f"{UNTOLD}#{shard}"), text(timed(ended, version))
    elif record.status is Status.PENDING:
        found["lane"], found["place"] = text(f"{READY}#{shard}"), text(ready(record, sequence, version))
    else:
        found["lane"], found["place"] = text(f"{TIMED}#{shard}"), text(timed(record.due_at, version))
    if record.expires_at is not None and record.status in QUEUED:
        found["expiry"], found["expires"] = text(f"expiry#{shard}"), text(timed(record.expires_at, version))
    return found


def to_stored(item: Item) -> Stored:
    """The record of an item."""
    values: dict[str, Any] = {name: item[name]["S"] for name in _TEXTS if name in item}
    values |= {name: item[name]["B"] if name in item else b"" for name in _BYTES}
    values |= {name: int(item[name]["N"]) for name in _INTEGERS}
    values |= {name: float(item[name]["N"]) for name in _TIMES if name in item}
    values |= {name: decoder.decode(item[name]["S"]) for name, decoder in _JSON.items() if name in item}
    values.setdefault("due_at", None)
    values["status"] = Status(item["status"]["S"])
    away = {name: item[f"{name}_at"]["S"] for name in ("payload", "result") if f"{name}_at" in item}
    return Stored(RequestRecord(**values), int(item["number"]["N"]), item["version"]["S"], away)


def gone(item: Item, now: float) -> bool:
    """Whether the item has outlived its time; the table deletes it days later."""
    return "gone_at" in item and float(item["gone_at"]["N"]) <= now


def gone_at(ended: float, retention: float) -> int:
    """The second from which a record that ended then is gone. Whole, since DynamoDB's TTL takes nothing else."""
    return math.ceil(ended + retention)


def size(item: Item) -> int:
    """Bytes of the item as DynamoDB counts them, or a few more."""
    return sum(len(name) + _size(value) for name, value in item.items())


def _size(value: Value) -> int:
    ((kind, content),) = value.items()
    if kind == "B":
        return len(content)
    return len(content.encode()) if kind == "S" else 21


def shard_of(owner: str, request_id: str, shards: int) -> int:
    """The part of each lane that a record is in for all its life."""
    return int(_hashed(owner, request_id), 16) % shards


def ready(record: RequestRecord, sequence: int, version: str) -> str:
    """A place in the READY lane. Hashes, since keys of an index hold 1,024 bytes and names may be longer."""
    line = line_of(record.priority, record.action, record.tenant, record.owner)
    return f"{'#'.join(line)}#{sequence:020d}#{version}"


def line_of(priority: int, action: str, tenant: str, owner: str) -> tuple[str, str, str, str]:
    """The parts of a place in the READY lane that all records of one line share: higher priority sorts first."""
    return f"{10**9 - priority:010d}", _hashed(action), _hashed(tenant), _hashed(owner)


def timed(moment: float, version: str) -> str:
    """A place in a lane that is ordered by time; the version makes it one that no other record has."""
    return f"{before(moment)}#{version}"


def joined(record_number: int, due_at: float, now: float) -> int:
    """Since when a record stands in its line, in microseconds: since it was stored, or fell due again."""
    return max(record_number, micros(min(due_at, now)))


def _hashed(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
