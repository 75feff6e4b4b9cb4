"""A request that kills its worker takes no other one with it to FAILED."""

from __future__ import annotations

import asyncio
from collections import Counter

from streamer.contracts.handlers import HandlerFunc
from streamer.core.attempts import Attempt, Outcome
from streamer.core.errors import StoreUnavailable
from streamer.core.records import RequestRecord, Status
from streamer.engine.attempt_states import StopReason
from streamer.engine.delivery import Delivery
from streamer.engine.lost_requests import LostRequests
from streamer.engine.pipeline import compose
from streamer.engine.routes import Route
from streamer.engine.worker import Worker
from streamer.testing import MockConnectionManager
from streamer.testing.clock import settle

LEASE = 30.0


class Mortal:
    """A worker's way to the store. After the worker's death nothing of it gets through."""

    def __init__(self, store):
        self._store = store
        self.dead = asyncio.Event()

    def __getattr__(self, name):
        async def call(*arguments, **options):
            if self.dead.is_set():
                raise StoreUnavailable("the worker is dead")
            return await getattr(self._store, name)(*arguments, **options)

        return call


class Service:
    """Workers that follow one another on one store, each as a process that its requests may kill."""

    def __init__(self, store, clock, logger, **options):
        self.store = store
        self.clock = clock
        self.starts = Counter()
        self.together = 0
        """The most requests that ran at one time after they were lost once."""
        self.deaths = 0
        self._running = set()
        self._logger = logger
        self._options = options
        self._queue = None
        handler = HandlerFunc(self.work, estimated_duration=60)
        self._routes = {"work": Route(name="work", handler=handler, pipeline=compose(handler, ()))}

    async def work(self, request):
        self.starts[request.id] += 1
        self._running.add(request.id)
        self.together = max(self.together, sum(self.starts[one] > 1 for one in self._running))
        try:
            await self.clock.sleep(1.0)
            if request.id.startswith("kills"):
                self._queue.dead.set()
                await asyncio.Event().wait()
        finally:
            self._running.discard(request.id)

    async def store_all(self, *ids):
        now = self.clock.now()
        for one in ids:
            record = RequestRecord(owner="o", id=one, action="work", created_at=now, updated_at=now, due_at=now)
            await self.store.enqueue(record)

    async def live(self):
        """One worker, until it dies or nothing is left to run."""
        self._queue = Mortal(self.store)
        delivery = Delivery(MockConnectionManager())
        worker = Worker(
            self._queue, self._routes, delivery, clock=self.clock, logger=self._logger, name="w", lease=LEASE,
            **self._options,
        )  # fmt: skip
        running = asyncio.create_task(worker.run())
        while not self._queue.dead.is_set() and await self.left():
            await self.clock.advance(0.5)
        self.deaths += self._queue.dead.is_set()
        self._queue.dead.set()
        running.cancel()
        for job in list(worker.running.values()):
            job.stop(StopReason.RELEASE)
        await settle()
        await self.clock.advance(LEASE)

    async def left(self):
        counts = await self.store.counts()
        return sum(counts[status] for status in (Status.PENDING, Status.PROCESSING, Status.RETRYING))

    async def end(self):
        """Starts a worker for each that died, until everything has ended."""
        while await self.left():
            await self.live()
        page = await self.store.list(limit=1000)
        return {record.id: record.status.value for record in page.requests}


async def test_one_request_that_kills_its_worker_fails_alone(house):
    service = Service(house.store, house.clock, house.logger)
    innocent = [f"r{n:02}" for n in range(63)]
    await service.store_all("kills", *innocent)
    ended = await service.end()
    assert ended == {"kills": "FAILED", **dict.fromkeys(innocent, "COMPLETED")}
    assert service.deaths == service.starts["kills"] == 3
    assert max(service.starts.values()) == 3


async def test_five_requests_that_kill_their_worker_fail_alone(house):
    service = Service(house.store, house.clock, house.logger)
    killers, innocent = [f"kills{n}" for n in range(5)], [f"r{n:02}" for n in range(40)]
    await service.store_all(*killers, *innocent)
    ended = await service.end()
    assert ended == dict.fromkeys(killers, "FAILED") | dict.fromkeys(innocent, "COMPLETED")


async def test_after_a_death_that_no_request_caused_all_run_together_again_soon(house):
    service = Service(house.store, house.clock, house.logger)
    await service.store_all(*(f"r{n:02}" for n in range(63)))
    living = asyncio.create_task(service.live())
    await settle()
    assert len(service.starts) == 63
    service._queue.dead.set()
    await house.clock.advance(1)
    await living
    began = house.clock.now()
    assert set((await service.end()).values()) == {"COMPLETED"}
    assert service.deaths == 1
    # One, two, four, eight, …: not 63 seconds.
    assert house.clock.now() - began - LEASE < 15
    assert service.together > 10


def lost(name, attempts=2):
    attempt = Attempt(fence=1, worker="w", started_at=0.0, ended_at=1.0, outcome=Outcome.LOST)
    return RequestRecord(
        owner="o", id=name, action="work", created_at=0.0, updated_at=0.0, due_at=9.0, attempts=attempts,
        fence=attempts, history=(attempt,), status=Status.PROCESSING,
    )  # fmt: skip


def test_each_that_survives_makes_room_for_one_more_until_none_is_left():
    requests = LostRequests()
    assert requests.limits() == {"lost_limit": 1, "lost_running": 0}
    requests.started(lost("a"))
    requests.claimed()
    assert requests.limits() == {"lost_limit": 0, "lost_running": 1}
    requests.ended(lost("a"))
    assert requests.limits() == {"lost_limit": 2, "lost_running": 0}
    requests.started(lost("b"))
    requests.claimed()
    assert requests.limits() == {"lost_limit": 1, "lost_running": 1}
    requests.ended(lost("b"))
    requests.claimed()
    assert requests.limits() == {"lost_limit": 1, "lost_running": 0}


def test_beside_one_in_its_last_attempt_runs_no_other():
    requests = LostRequests()
    for name in "abc":
        requests.started(lost(name))
        requests.ended(lost(name))
    requests.started(lost("last", attempts=3))
    assert requests.limits() == {"lost_limit": 0, "lost_running": 1}


def test_what_was_never_lost_does_not_count():
    requests = LostRequests()
    fresh = RequestRecord(owner="o", id="a", action="work", created_at=0.0, updated_at=0.0, due_at=0.0)
    requests.started(fresh)
    requests.ended(fresh)
    assert requests.limits() == {"lost_limit": 1, "lost_running": 0}
