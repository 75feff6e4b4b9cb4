"""The writer process lives, dies and is replaced."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import uvloop

from streamer.contracts.stores import Lease
from streamer.core.clock import SystemClock
from streamer.core.errors import OVERLOADED, Error, StoreUnavailable
from streamer.core.records import RequestRecord, Status
from streamer.stores.sqlite import SqliteStore, unanswered, writer_process
from streamer.testing.conformance import lease_of, record

pytestmark = pytest.mark.service  # it starts writers of SQLite


async def gone(pid):
    """Returns when the process is no more (it may be a zombie until it is reaped)."""
    while True:
        try:
            if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
                return
        except FileNotFoundError:
            return
        await asyncio.sleep(0)


class TestADeath:
    async def test_loses_nothing_that_was_on_its_way(self, store, clock, rows):
        first = store.writer_pid
        # It answers nothing before it dies.
        os.kill(first, signal.SIGSTOP)
        calls = [asyncio.ensure_future(store.enqueue(record(clock, f"r{n}"))) for n in range(200)]
        await asyncio.sleep(0)
        os.kill(first, signal.SIGKILL)
        assert await asyncio.gather(*calls) == [None] * 200
        assert store.writer_pid != first
        assert len({row[0] for row in rows()}) == 200

    async def test_of_an_idle_writer_is_mended_too_as_often_as_it_happens(self, path, clock, monkeypatch):
        monkeypatch.setattr(writer_process, "RESPAWN_DELAYS", (0.0, 0.0))
        warnings = asyncio.Queue()
        store = await SqliteStore.open(path, clock=clock, warn=warnings.put_nowait)
        for _ in range(4):
            os.kill(store.writer_pid, signal.SIGKILL)
            assert "was killed by signal 9" in await warnings.get()
        assert await store.enqueue(record(clock)) is None
        await store.close()

    async def test_is_assumed_to_have_hidden_what_others_wrote_meanwhile(self, store, clock):
        await store.enqueue(record(clock))
        assert not (await store.claim("w", 0, 30.0)).changed_externally
        os.kill(store.writer_pid, signal.SIGKILL)
        assert (await store.claim("w", 0, 30.0)).changed_externally
        assert not (await store.claim("w", 0, 30.0)).changed_externally

    def test_right_after_the_new_writer_has_opened_is_another_death(self, path, clock, writer_program, any_loop):
        writer_program("""
            def main(channel):
                if starts() in (2, 3):
                    channel.receive()
                    channel.send(writer._encode(None))
                    os._exit(1)
                writer.main(channel)
        """)

        async def test():
            store = await SqliteStore.open(path, clock=clock)
            os.kill(store.writer_pid, signal.SIGKILL)
            assert await store.enqueue(record(clock)) is None
            await store.close()

        any_loop.run(asyncio.wait_for(test(), 60))

    async def test_again_and_again_without_an_answer_fails_the_store_and_all_who_wait(
        self, path, clock, writer_program, monkeypatch, tmp_path
    ):
        monkeypatch.setattr(writer_process, "RESPAWN_DELAYS", (0.0,) * 5)
        writer_program("""
            def main(channel):
                starts()
                writer.apply = lambda *_: die()
                writer.main(channel)
        """)
        store = await SqliteStore.open(path, clock=clock)
        failed = asyncio.ensure_future(store.failed())
        cancelled, *waiting = [store.enqueue(record(clock, f"r{n}")) for n in range(3)]
        cancelled.cancel()
        with pytest.raises(StoreUnavailable, match="was killed by signal 9 each time it executed this operation"):
            await waiting[0]
        with pytest.raises(StoreUnavailable, match="cannot be replaced: was killed by signal 9"):
            await waiting[1]
        await failed
        assert (tmp_path / "starts").stat().st_size == 6
        with pytest.raises(StoreUnavailable, match="cannot be replaced"):
            await store.counts()
        await store.close()
        with pytest.raises(StoreUnavailable, match="cannot be replaced"):
            await store.counts()

    async def test_of_every_writer_that_reads_the_same_refuses_that_to_its_caller_and_serves_all_others(
        self, path, clock, writer_program, monkeypatch, tmp_path
    ):
        monkeypatch.setattr(writer_process, "RESPAWN_DELAYS", (0.0,) * 5)
        writer_program("""
            from streamer.stores.sqlite.operations import NUMBERS

            def main(channel):
                starts()
                apply = writer.apply

                def deadly(state, operations):
                    if any(kind == NUMBERS["list_records"] for _, kind, _, _ in operations):
                        die()
                    return apply(state, operations)

                writer.apply = deadly
                writer.main(channel)
        """)
        store = await SqliteStore.open(path, clock=clock)
        before = [asyncio.ensure_future(store.enqueue(record(clock, f"before{n}"))) for n in range(20)]
        deadly = [asyncio.ensure_future(store.list()) for _ in range(3)]
        after = [asyncio.ensure_future(store.enqueue(record(clock, f"after{n}"))) for n in range(20)]
        assert await asyncio.gather(*before, *after) == [None] * 40
        for call in deadly:
            with pytest.raises(StoreUnavailable, match="each time it executed this operation"):
                await call
        assert (await store.counts())[Status.PENDING] == 40
        # Two deaths with everything on its way, then each of the three alone.
        assert (tmp_path / "starts").stat().st_size <= 1 + 2 + 3 * 2
        await store.close()

    async def test_whose_file_is_spoilt_fails_the_store_and_says_why(self, path, clock, monkeypatch):
        monkeypatch.setattr(writer_process, "RESPAWN_DELAYS", (0.0, 0.0))
        store = await SqliteStore.open(path, clock=clock)
        os.kill(store.writer_pid, signal.SIGSTOP)
        waiting = asyncio.ensure_future(store.enqueue(record(clock)))
        await asyncio.sleep(0)
        path.write_bytes(b"this is no database any more" * 10)
        for suffix in ("-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
        os.kill(store.writer_pid, signal.SIGKILL)
        with pytest.raises(StoreUnavailable, match="cannot be replaced: .*not an SQLite file"):
            await waiting
        await store.failed()
        await store.close()

    async def test_while_it_opens_the_file_says_so(self, path, writer_program):
        writer_program("def main(channel): raise SystemExit(3)")
        with pytest.raises(StoreUnavailable, match="ended with status 3 while opening it"):
            await SqliteStore.open(path)

    async def test_at_random_moments_loses_no_acknowledgment_and_doubles_nothing(self, path, seed, rows):
        choose = random.Random(seed)
        clock = SystemClock()
        store = await SqliteStore.open(path, clock=clock)
        callers, each = 200, 5
        stored: set[str] = set()
        completed: set[str] = set()
        claims: list[str] = []

        async def enqueue(caller):
            for number in range(each):
                now = clock.now()
                given = RequestRecord(
                    owner="o", id=f"{caller}-{number}", action="a", created_at=now, updated_at=now, due_at=now
                )
                assert await store.enqueue(given) is None
                stored.add(given.id)

        async def work():
            while len(completed) < callers * each:
                taken = (await store.claim("w", 32, 3600.0)).records
                claims.extend(one.id for one in taken)
                await asyncio.gather(*(complete(one) for one in taken))

        async def complete(one):
            await store.complete(Lease(one.owner, one.id, one.fence), seq=1, result=b"1")
            completed.add(one.id)

        async def kill():
            for _ in range(15):
                target = min(len(stored) + len(completed) + choose.randrange(1, 120), 2 * callers * each)
                while len(stored) + len(completed) < target:
                    await asyncio.sleep(0)
                # A process that was reaped already has no number that would be safe to use.
                if store._writer._ready:
                    os.kill(store.writer_pid, signal.SIGKILL)
                # So many loops' turns later it may be dead, opening, or at work again.
                for _ in range(choose.randrange(200)):
                    await asyncio.sleep(0)

        await asyncio.gather(*(enqueue(caller) for caller in range(callers)), work(), kill())
        await store.close()
        assert stored == completed == {row[0] for row in rows()}
        assert {row[1] for row in rows()} == {"COMPLETED"}
        assert sorted(claims) == sorted(stored)


@pytest.fixture
def stopped():
    """Stops the store's writer, as a disk does that does not answer; in the end it goes on."""
    pids = []

    def stop(store):
        pids.append(store.writer_pid)
        os.kill(store.writer_pid, signal.SIGSTOP)

    yield stop
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


class TestAWriterThatStandsStill:
    async def test_is_asked_for_no_more_than_a_bound_and_then_goes_on(self, path, clock, rows, stopped):
        store = await SqliteStore.open(path, clock=clock, max_pending=1 << 20)
        await store.enqueue(record(clock, "running"))
        (running,) = (await store.claim("w", 1, 30.0)).records
        stopped(store)
        large = b'"' + b"x" * (1 << 17) + b'"'
        calls = [asyncio.ensure_future(store.enqueue(record(clock, f"r{n}", payload=large))) for n in range(40)]
        refused, accepted = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        assert len(accepted) == 7
        assert store._writer._unanswered.size <= 1 << 20
        for call in refused:
            error = call.exception()
            assert (error.code, error.details["retry_after_ms"] > 0) == (OVERLOADED, True)
        with pytest.raises(StoreUnavailable, match="too far behind"):
            await store.update_progress(lease_of(running), seq=1, percentage=1, metadata=large)
        # Its outcome is not refused, whatever else waits.
        completed = asyncio.ensure_future(store.complete(lease_of(running), seq=2, result=large * 2))
        await asyncio.sleep(0)
        assert not completed.done()
        os.kill(store.writer_pid, signal.SIGCONT)
        await completed
        assert await asyncio.gather(*accepted) == [None] * 7
        assert await store.enqueue(record(clock, "later", payload=large)) is None
        await store.close()
        assert dict(rows())["running"] == "COMPLETED"
        assert len(rows()) == 9

    async def test_for_long_makes_nobody_else_wait(self, path, clock, stopped, monkeypatch):
        store = await SqliteStore.open(path, clock=clock)
        stopped(store)
        first = asyncio.ensure_future(store.enqueue(record(clock, "first")))
        await asyncio.sleep(0)
        second = asyncio.ensure_future(store.enqueue(record(clock, "second")))
        await asyncio.sleep(0)
        monkeypatch.setattr(writer_process, "STALLED", -1.0)
        with pytest.raises(Error, match="faster than the queue can be written") as refused:
            await store.enqueue(record(clock, "third"))
        assert refused.value.code == OVERLOADED
        monkeypatch.undo()
        os.kill(store.writer_pid, signal.SIGCONT)
        assert await asyncio.gather(first, second) == [None, None]
        await store.close()

    async def test_has_a_bounded_part_of_it_on_its_way(self, path, clock, stopped, monkeypatch, rows):
        monkeypatch.setattr(unanswered, "WINDOW", 100_000)
        store = await SqliteStore.open(path, clock=clock)
        stopped(store)
        payload = b'"' + b"x" * 30_000 + b'"'
        calls = [asyncio.ensure_future(store.enqueue(record(clock, f"r{n}", payload=payload))) for n in range(20)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert store._writer._unanswered.unsent == 17
        os.kill(store.writer_pid, signal.SIGCONT)
        assert await asyncio.gather(*calls) == [None] * 20
        calls = [asyncio.ensure_future(store.enqueue(record(clock, f"s{n}", payload=payload))) for n in range(20)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*calls)
        assert len(rows()) == 40


class TestTheEnd:
    async def test_of_the_process_that_made_it_is_the_writers_and_the_file_is_free(self, path):
        script = (
            "import asyncio, sys\n"
            f"sys.path[:] = {sys.path!r}\n"
            "from streamer.stores.sqlite import SqliteStore\n"
            "async def main():\n"
            f"    store = await SqliteStore.open({str(path)!r})\n"
            "    print(store.writer_pid, flush=True)\n"
            "    await asyncio.Event().wait()\n"
            "asyncio.run(main())\n"
        )
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
            pid = int(process.stdout.readline())
            process.kill()
        store = await SqliteStore.open(path)
        await asyncio.wait_for(gone(pid), 30)
        await store.close()

    async def test_lets_the_writer_finish_what_it_was_sent(self, path, clock, rows):
        store = await SqliteStore.open(path, clock=clock)
        calls = [asyncio.ensure_future(store.enqueue(record(clock, f"r{n}"))) for n in range(50)]
        await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*calls)
        assert len(rows()) == 50

    async def test_while_the_writer_is_being_replaced_fails_those_who_wait(self, path, clock, monkeypatch):
        monkeypatch.setattr(writer_process, "RESPAWN_DELAYS", (3600.0,))
        store = await SqliteStore.open(path, clock=clock)
        os.kill(store.writer_pid, signal.SIGKILL)
        waiting = asyncio.ensure_future(store.enqueue(record(clock)))
        await gone(store.writer_pid)
        while store._writer._mending is None:
            await asyncio.sleep(0)
        await store.close()
        with pytest.raises(StoreUnavailable, match="is closed"):
            await waiting

    async def test_of_who_opens_it_leaves_no_writer(self, path, writer_program, tmp_path):
        writer_program("""
            def main(channel):
                Path(__file__).with_name("pid").write_text(str(os.getpid()))
                channel.receive()
                channel.receive()
        """)
        opening = asyncio.ensure_future(SqliteStore.open(path))
        pid = tmp_path / "pid"
        while not (pid.exists() and pid.read_text()):
            await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)


async def test_a_caller_that_gives_up_does_not_disturb_the_others(store, clock):
    impatient = asyncio.ensure_future(store.enqueue(record(clock, "a")))
    patient = asyncio.ensure_future(store.enqueue(record(clock, "b")))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient is None
    assert (await store.counts())[Status.PENDING] == 2


async def test_all_that_is_asked_in_one_turn_of_the_loop_leaves_together(store, clock, monkeypatch):
    sent = []
    send = store._writer._child.send
    monkeypatch.setattr(store._writer._child, "send", lambda message: (sent.append(message), send(message)))
    await asyncio.gather(*(store.enqueue(record(clock, f"r{n}")) for n in range(300)))
    assert len(sent) == 1


def test_a_loop_that_never_rests_does_not_starve_the_writer(path, rows):
    async def main():
        store = await SqliteStore.open(path)
        loop = asyncio.get_running_loop()
        turns = 0
        spinning = True

        def spin():
            nonlocal turns
            turns += 1
            if spinning:
                sum(range(200))
                loop.call_soon(spin)

        for _ in range(4):
            loop.call_soon(spin)
        for n in range(200):
            await store.enqueue(record(SystemClock(), f"r{n}"))
        spinning = False
        await store.close()
        return turns

    turns = uvloop.run(main())
    assert len(rows()) == 200
    assert turns > 200, "the loop was held up by the store"
