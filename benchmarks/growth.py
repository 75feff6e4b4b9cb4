"""What a SQLite store costs while very much waits in it: `python -m benchmarks.growth`.

A file is filled by SQL, then one store is opened on it, as a service does, and asked for single operations.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from benchmarks.processes import ROOT
from streamer.core.records import RequestRecord
from streamer.stores.sqlite import SqliteStore
from streamer.stores.sqlite.database import open_database

COLUMNS = (
    "owner, id, action, payload, metadata, connection_id, created_at, max_attempts, priority, status, due_at, "
    "attempts, fence, worker, percentage, message, progress_metadata, seq, result, error, updated_at, finished_at, "
    "delivered_at, stored_by, waiting, counted"
)
OWNER = "printf('client:%08x%08x', (n % {owners}) * 2654435761 % 4294967296, n % {owners})"
"""Names in no order, as hashes are."""
VALUES = {
    "waiting": "'PENDING', {now}, 0, 0, '', 0, '', x'', 0, x'', x'', {now}, NULL, NULL, '', 1, 1",
    "ended": "'COMPLETED', NULL, 1, 1, 'w', 100, '', x'', 9, zeroblob(200), x'', "
    "{now}, {now} - ({count} - n) * 0.01, {now}, '', 0, 0",
}
FILL = (
    "WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c LIMIT {count}) "
    f"INSERT INTO requests ({COLUMNS}) SELECT {OWNER}, "
    "printf('r%d', n), 'work', zeroblob(150), x'', 'c', {now}, 3, 0, {values} FROM c"
)


def fill(path: Path, kind: str, count: int, owners: int) -> None:
    """Writes so many requests. The indexes are made afterwards, which takes a fraction of the time."""
    with contextlib.closing(open_database(path, create=True)) as database:
        database.execute("PRAGMA cache_size = -1000000")
        database.execute("PRAGMA synchronous = OFF")
        indexes = database.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        database.execute("BEGIN")
        for name, _ in indexes:
            database.execute(f"DROP INDEX {name}")
        now = time.time() - 60
        values = VALUES[kind].format(now=now, count=count)
        database.execute(FILL.format(count=count, now=now, owners=owners, values=values))
        for _, sql in indexes:
            database.execute(sql)
        database.execute("COMMIT")
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def resident(pid: int | str = "self") -> float:
    """MiB of memory that the process has for itself."""
    text = Path(f"/proc/{pid}/status").read_text()
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon")) / 1024


def new(number: int) -> RequestRecord:
    now = time.time()
    return RequestRecord(
        owner=f"client:new{number}", id="n", action="work", payload=b"{}", metadata={}, connection_id="c",
        created_at=now, max_attempts=3, priority=0, due_at=now, updated_at=now,
    )  # fmt: skip


class Probe:
    """Stores one request after the other, and knows how long each took."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._number = 0
        self.took: list[float] = []

    async def once(self) -> float:
        self._number += 1
        began = time.perf_counter()
        await self._store.enqueue(new(self._number))
        took = time.perf_counter() - began
        self.took.append(took)
        return took

    @contextlib.asynccontextmanager
    async def meanwhile(self) -> AsyncIterator[list[float]]:
        self.took = []
        done = asyncio.Event()
        task = asyncio.create_task(self._until(done))
        await asyncio.sleep(0)
        try:
            yield self.took
        finally:
            done.set()
            await task

    async def _until(self, done: asyncio.Event) -> None:
        while not done.is_set():
            await self.once()
            # Another process needs a gap to write in.
            await asyncio.sleep(0.003)


@contextlib.contextmanager
def timed(into: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    into[name] = 1000 * (time.perf_counter() - began)


async def opened(path: Path, found: dict[str, float], maximum: int) -> SqliteStore:
    with timed(found, "start ms"):
        return await SqliteStore.open(path, max_queued=maximum, max_queued_per_owner=maximum // 10)


async def waiting(path: Path, count: int) -> dict[str, float]:
    found: dict[str, float] = {}
    empty = await opened(path.with_name("empty.db"), found, 1000)
    await Probe(empty).once()
    found["start of an empty store ms"] = found.pop("start ms")
    found["MiB of an empty store's writer"] = resident(empty.writer_pid)
    await empty.close()
    store = await opened(path, found, 2 * count + 1000)
    probe = Probe(store)
    with timed(found, "first enqueue ms"):
        await probe.once()
    with timed(found, "first claim ms"):
        (await store.claim("w", 1, 30.0)).records  # noqa: B018 - what is timed
    took = []
    began = time.perf_counter()
    claimed = 0
    for _ in range(100):
        at = time.perf_counter()
        claimed += len((await store.claim("w", 64, 600.0)).records)
        took.append(time.perf_counter() - at)
    found["claims of 64: each ms"] = 1000 * statistics.median(took)
    found["claims of 64: records/s"] = claimed / (time.perf_counter() - began)
    alone = []
    for _ in range(200):
        at = time.perf_counter()
        await store.claim("w", 1, 600.0)
        alone.append(time.perf_counter() - at)
    found["claims of 1: each ms"] = 1000 * statistics.median(alone)
    found["MiB of the writer"] = resident(store.writer_pid)
    found["MiB of the service's side"] = resident()
    await quiet(probe, found)
    operator = await SqliteStore.open(path, operator=True)
    keys = [(one.owner, one.id) for one in (await operator.list(limit=5)).requests]
    async with probe.meanwhile() as stalls:
        for key in keys:
            await operator.cancel(key)
            await asyncio.sleep(0.2)
    found["longest write by an operator's command ms"] = 1000 * max(stalls)
    await operator.close()
    async with probe.meanwhile() as stalls:
        with contextlib.closing(
            sqlite3.connect(path, isolation_level=None, timeout=10, check_same_thread=False)
        ) as other:
            for _ in range(3):
                with contextlib.suppress(sqlite3.OperationalError):  # it found no gap
                    await asyncio.to_thread(_touch, other)
                await asyncio.sleep(0.3)
    found["longest write by another program's ms"] = 1000 * max(stalls)
    async with probe.meanwhile() as stalls:
        with timed(found, "counts ms"):
            await store.counts()
    found["longest write by counts ms"] = 1000 * max(stalls)
    async with probe.meanwhile() as stalls:
        with timed(found, "page that finds nothing ms"):
            await store.list(action="nothing", limit=50)
    found["longest write by such a page ms"] = 1000 * max(stalls)
    await store.close()
    return found


def _touch(other: sqlite3.Connection) -> None:
    other.execute("UPDATE requests SET message = 'seen' WHERE number = (SELECT max(number) FROM requests)")


async def quiet(probe: Probe, found: dict[str, float]) -> None:
    async with probe.meanwhile() as stalls:
        await asyncio.sleep(2)
    found["one write, undisturbed: median ms"] = 1000 * statistics.median(stalls)
    found["one write, undisturbed: longest ms"] = 1000 * max(stalls)


async def ended(path: Path, count: int) -> dict[str, float]:
    found: dict[str, float] = {}
    store = await opened(path, found, 10_000_000)
    probe = Probe(store)
    await quiet(probe, found)
    async with probe.meanwhile() as stalls:
        with timed(found, "purge ms"):
            purged = await store.purge(time.time() + 60)
    assert purged == count, purged
    found["one write during the purge: median ms"] = 1000 * statistics.median(stalls)
    found["one write during the purge: 99 % below ms"] = 1000 * statistics.quantiles(stalls, n=100)[-1]
    found["one write during the purge: longest ms"] = 1000 * max(stalls)
    found["MiB of the log"] = Path(f"{path}-wal").stat().st_size / 2**20
    await store.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="requests in the file (default %(default)s)")
    parser.add_argument("--only", choices=("each its own owner", "ten owners", "purge"), action="append")
    parser.add_argument("--folder", type=Path, help="where filled files are kept and found again")
    given = parser.parse_args()
    results = ROOT / "benchmarks" / "results"
    results.mkdir(exist_ok=True)
    cases = {
        "each its own owner": ("waiting", given.count),
        "ten owners": ("waiting", 10),
        "purge": ("ended", given.count // 10),
    }
    everything = {}
    for name, (kind, owners) in cases.items():
        if given.only and name not in given.only:
            continue
        with tempfile.TemporaryDirectory(dir=results) as folder:
            path = Path(folder) / "queue.db"
            kept = given.folder and given.folder / f"{kind}-{owners}-{given.count}.db"
            if kept and kept.exists():
                shutil.copy(kept, path)
            else:
                print(f"filling a file: {name}", file=sys.stderr)
                # In a process of its own, whose memory is not measured.
                filling = multiprocessing.get_context("spawn").Process(
                    target=fill, args=(path, kind, given.count, owners)
                )
                filling.start()
                filling.join()
                if kept:
                    shutil.copy(path, kept)
            measure = waiting if kind == "waiting" else ended
            everything[name] = asyncio.run(measure(path, given.count))
        print(f"\n{name}")
        for what, value in everything[name].items():
            print(f"  {what:48} {value:12,.2f}")
    (results / "growth.json").write_text(json.dumps(everything, indent=2) + "\n")


if __name__ == "__main__":
    main()
