"""Converts a record to an item of the table, and back; and the keys by which the indexes find it. Pure functions."""

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
"""Lane of PENDING records: by priority, action, tenant and owner, then in the order in which they were stored."""
TIMED: Final = "timed"
"""Lane of records that wait for a time: the end of a lease, or the next attempt."""
ENDED: Final = "ended"
"""Lane of ended records, by the time of their end."""
UNTOLD: Final = "ended_undelivered"
"""In the index of expiries: ended records whose outcome was not delivered, by the time of their end."""

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
    """A record with the additional attributes of its item."""

    record: RequestRecord
    number: int
    """Increases with each record that a process stores: the order among those created at the same time."""
    version: str
    """Of its last write; every write assigns a new one."""
    away: Mapping[str, str] = MappingProxyType({})
    """The names of the objects with the content that is too large for an item, by field: `payload` or `result`. The
    record's field is empty.
    """


class Layout(NamedTuple):
    """What the keys of the indexes depend on, in addition to the record."""

    shards: int
    """The number of shards of each lane."""
    retention: float
    """Seconds for which an ended record is kept."""
    ended_undelivered: bool = False
    """Whether ended and undelivered records can be queried. It costs two more writes of an index per request."""


def to_item(stored: Stored, layout: Layout) -> Item:
    """The item of a record, with its keys in the indexes. None and empty values are left out."""
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
    """The record's keys in the indexes; it is not in the others."""
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
    """Whether the item has expired; the table deletes it days later."""
    return "gone_at" in item and float(item["gone_at"]["N"]) <= now


def gone_at(ended: float, retention: float) -> int:
    """The second from which a record that ended then is expired. Whole, as DynamoDB's TTL requires."""
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
    """The shard of a record, which never changes."""
    return int(_hashed(owner, request_id), 16) % shards


def ready(record: RequestRecord, sequence: int, version: str) -> str:
    """A place in the READY lane. Hashes, because keys of an index are limited to 1,024 bytes and names may be
    longer.
    """
    line = line_of(record.priority, record.action, record.tenant, record.owner)
    return f"{'#'.join(line)}#{sequence:020d}#{version}"


def line_of(priority: int, action: str, tenant: str, owner: str) -> tuple[str, str, str, str]:
    """The prefix of a place in the READY lane that all records of one line share: higher priority sorts first."""
    return f"{10**9 - priority:010d}", _hashed(action), _hashed(tenant), _hashed(owner)


def timed(moment: float, version: str) -> str:
    """A place in a lane that is ordered by time; the version makes it unique."""
    return f"{before(moment)}#{version}"


def joined(record_number: int, due_at: float, now: float) -> int:
    """Since when a record is in its line, in microseconds: since it was stored, or became due again."""
    return max(record_number, micros(min(due_at, now)))


def _hashed(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=8).hexdigest()
