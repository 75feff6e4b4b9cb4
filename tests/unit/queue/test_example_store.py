"""The store of the how-to: it passes what every store must pass, and forgets nothing that it has acknowledged."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from streamer import BuildContext
from streamer.config.settings import Settings
from streamer.core.errors import StoreClosed, StoreError, StoreInUse, StoreUnavailable
from streamer.core.records import Status
from streamer.queue import StorageQueue
from streamer.testing import ManualClock, StorageConformance, StoreConformance, store_machine
from streamer.testing.conformance import lease_of, record

SOURCE = Path(__file__).parents[3] / "docs/examples/jsonl_store.py"
ROUNDS = int(os.environ.get("STREAMER_TEST_KILLS", "3"))


def load():
    spec = importlib.util.spec_from_file_location("jsonl_store", SOURCE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = load()


async def open_queue(path, clock, **bounds):
    return StorageQueue(await example.JsonlStorage.open(path), clock=clock, **bounds)


class TestStorage(StorageConformance):
    @pytest.fixture
    async def storage(self, tmp_path):
        storage = await example.JsonlStorage.open(tmp_path / "queue.jsonl")
        yield storage
        await storage.close()


class TestStore(StoreConformance):
    @pytest.fixture
    async def store(self, clock, tmp_path):
        store = await open_queue(tmp_path / "queue.jsonl", clock, max_queued=self.max_queued)
        yield store
        await store.close()


async def open_temporary(clock):
    folder = Path(tempfile.mkdtemp(prefix="streamer-jsonl-"))
    store = await open_queue(folder / "queue.jsonl", clock)
    closing = store.close

    async def close():
        await closing()
        shutil.rmtree(folder)

    store.close = close
    return store


TestProperty = store_machine(open_temporary).TestCase
TestProperty.settings = settings(
    max_examples=10, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


async def test_everything_is_there_after_a_new_start(tmp_path):
    clock, path = ManualClock(), tmp_path / "queue.jsonl"
    store = await open_queue(path, clock)
    for name in ("waiting", "running", "retrying", "ended"):
        await store.enqueue(record(clock, name, owner=f"client:{name}", payload=b'{"text": "\xc3\xbc"}'))
    taken = {one.id: lease_of(one) for one in (await store.claim("w1", 4, 30.0)).records}
    await store.release([taken["waiting"]])
    await store.fail(taken["retrying"], seq=1, error=None, retry_at=clock.now() + 5)
    await store.complete(taken["ended"], seq=1, result=b"1")
    await store.keep("key", b"\x00value")
    before = [await store.get((f"client:{name}", name)) for name in taken]
    await store.close()
    store = await open_queue(path, clock, max_queued=2)
    assert [await store.get((f"client:{name}", name)) for name in taken] == before
    assert await store.keep("key", b"") == b"\x00value"
    claims = await store.claim("w2", 9, 30.0)
    assert [one.id for one in claims.records] == ["waiting"]
    assert claims.next_due == clock.now() + 5
    await clock.advance(30)
    assert [one.id for one in (await store.claim("w2", 9, 30.0)).records] == ["running", "waiting", "retrying"]
    await store.close()


async def test_a_torn_last_line_is_cut_off_and_all_before_it_is_kept(tmp_path):
    clock, path = ManualClock(), tmp_path / "queue.jsonl"
    store = await open_queue(path, clock)
    await store.enqueue(record(clock, "whole"))
    size = path.stat().st_size
    await store.enqueue(record(clock, "torn"))
    await store.close()
    os.truncate(path, (size + path.stat().st_size) // 2)
    store = await open_queue(path, clock)
    assert [one.id for one in (await store.list()).requests] == ["whole"]
    assert await store.enqueue(record(clock, "torn")) is None
    await store.close()
    store = await open_queue(path, clock)
    assert {one.id for one in (await store.list()).requests} == {"whole", "torn"}
    await store.close()


async def test_a_line_that_is_not_its_own_is_named(tmp_path):
    path = tmp_path / "queue.jsonl"
    path.write_text('{"keep":["a","AA=="]}\n{"insert":7}\n')
    with pytest.raises(StoreError, match=r"queue\.jsonl, line 2 is not a line of a queue"):
        await example.JsonlStorage.open(path)
    assert path.read_text().endswith('{"insert":7}\n')


async def test_a_second_process_is_refused(tmp_path):
    storage = await example.JsonlStorage.open(tmp_path / "queue.jsonl")
    with pytest.raises(StoreInUse, match="open in another process"):
        await example.JsonlStorage.open(tmp_path / "queue.jsonl")
    await storage.close()
    await (await example.JsonlStorage.open(tmp_path / "queue.jsonl")).close()


async def test_what_the_disk_refuses_is_not_stored_and_the_next_write_may_be(tmp_path, monkeypatch):
    clock, path = ManualClock(), tmp_path / "queue.jsonl"
    store = await open_queue(path, clock)
    write = os.write

    def full(file, data):
        write(file, data[:10])
        raise OSError("no space left")

    with monkeypatch.context() as patched:
        patched.setattr(example.os, "write", full)
        with pytest.raises(StoreUnavailable, match="no space left"):
            await store.enqueue(record(clock, "lost"))
    assert await store.get(("client:one", "lost")) is None
    assert await store.enqueue(record(clock, "kept")) is None
    await store.close()
    store = await open_queue(path, clock)
    assert [one.id for one in (await store.list()).requests] == ["kept"]
    await store.close()


async def test_a_flush_that_failed_ends_the_store_for_good(tmp_path, monkeypatch):
    clock = ManualClock()
    store = await open_queue(tmp_path / "queue.jsonl", clock)
    failed = asyncio.ensure_future(store.failed())
    with monkeypatch.context() as patched:
        patched.setattr(example.os, "fsync", lambda file: (_ for _ in ()).throw(OSError("broken disk")))
        with pytest.raises(StoreClosed, match="broken disk"):
            await store.enqueue(record(clock, "unknown"))
    await failed
    with pytest.raises(StoreClosed):
        await store.enqueue(record(clock, "another"))
    await store.close()


async def test_the_file_does_not_grow_with_what_has_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(example, "SPARE_LINES", 10)
    clock, path = ManualClock(), tmp_path / "queue.jsonl"
    store = await open_queue(path, clock)
    await store.keep("key", b"value")
    for n in range(10):
        await store.enqueue(record(clock, f"r{n}"))
        await store.cancel(("client:one", f"r{n}"))
    await clock.advance(1)
    await store.enqueue(record(clock, "left"))
    assert await store.purge(clock.now()) == 10
    assert [next(iter(json.loads(line))) for line in path.read_text().splitlines()] == ["keep", "insert"]
    await store.enqueue(record(clock, "more"))
    await store.close()
    store = await open_queue(path, clock)
    assert {one.id for one in (await store.list()).requests} == {"left", "more"}
    await store.close()


async def test_it_is_a_plugins_component(tmp_path):
    (component,) = example.streamer_backends()
    async with component.factory(
        {"path": "q.jsonl"}, BuildContext(base_dir=tmp_path, settings=Settings(path=tmp_path))
    ) as store:
        await store.enqueue(record(ManualClock(), "r1"))
    assert (tmp_path / "q.jsonl").read_text().count("\n") == 1


LIVES = """
import asyncio, importlib.util, itertools, os, sys, time
from streamer.contracts.stores import Lease
from streamer.core.records import RequestRecord
from streamer.queue import StorageQueue
spec = importlib.util.spec_from_file_location("jsonl_store", sys.argv[1])
example = importlib.util.module_from_spec(spec)
spec.loader.exec_module(example)

async def live(store, name):
    # Said after the answer, in one write, which a kill cannot cut in two.
    now = time.time()
    request = RequestRecord(owner=f"client:{name}", id=name, action="a", created_at=now, updated_at=now, due_at=now)
    await store.enqueue(request)
    os.write(1, f"stored {name}\\n".encode())
    for one in (await store.claim("w", 1, 3600.0)).records:
        await store.complete(Lease(one.owner, one.id, one.fence), seq=1, result=b"1")
        os.write(1, f"ended {one.id}\\n".encode())

async def main():
    store = StorageQueue(await example.JsonlStorage.open(example.Path(sys.argv[2])))
    async def many(n):
        for m in itertools.count():
            await live(store, f"{sys.argv[3]}-{n}-{m}")
    await asyncio.gather(*map(many, range(8)))

asyncio.run(main())
"""


@pytest.mark.service
async def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(tmp_path):
    path, stored, ended = tmp_path / "queue.jsonl", set(), set()
    for round_ in range(ROUNDS):
        command = [sys.executable, "-c", LIVES, str(SOURCE), str(path), str(round_)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            # At a random answer, and so in the middle of the next writes.
            for _ in range(random.randint(20, 200)):
                what, name = process.stdout.readline().split()
                (stored if what == "stored" else ended).add(name)
            process.send_signal(signal.SIGKILL)
            for line in process.stdout.read().splitlines():
                what, name = line.split()
                (stored if what == "stored" else ended).add(name)
        storage = await example.JsonlStorage.open(path)
        status = {key[1]: row.record.status for key, row in storage.rows.items()}
        assert stored <= set(status)
        assert {name for name in ended if status[name] is not Status.COMPLETED} == set()
        await storage.close()
    assert len(ended) > ROUNDS
