"""A stateful property test: random events for a store, compared with a model that uses only `transitions.advance`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from streamer.contracts.stores import Existing, Lease, RequestQueue
from streamer.core.attempts import LastReport
from streamer.core.errors import Error, LeaseLost, TransitionRefused
from streamer.core.messages import ErrorBody
from streamer.core.principal import Principal
from streamer.core.records import RequestRecord, Status, due, exhausted, expired, rebase_clock
from streamer.core.summaries import summarize
from streamer.core.transitions import (
    Abandoned,
    Cancelled,
    Claimed,
    Completed,
    Delivered,
    Event,
    Expired,
    Failed,
    Progressed,
    Released,
    Renewed,
    Requeued,
    advance,
)
from streamer.testing.clock import ManualClock
from streamer.testing.conformance.records import whole_records
from streamer.testing.turns import Limits, check_turns

LEASE = 30.0
_IDS = st.sampled_from([f"r{n}" for n in range(4)])
_PRINCIPALS = {
    "client:a": None,
    "client:b": None,
    "principal:t1/c": Principal(user_id="c", tenant_id="t1"),
    "principal:t1/d": Principal(user_id="d", tenant_id="t1", permissions=frozenset({"read"}), claims={"n": 1}),
    "principal:t2/e": Principal(user_id="e", tenant_id="t2"),
}
_OWNERS = st.sampled_from(sorted(_PRINCIPALS))
_ACTIONS = st.sampled_from(["action0", "action1"])
_REPORTS = st.sampled_from([None, LastReport(40.0, "nearly", b'{"rows":1}'), LastReport(100.0)])
_ERRORS = st.builds(ErrorBody, st.sampled_from(["BROKEN", "TIMEOUT"]), st.text(max_size=5))

_HEADROOM = st.none() | st.dictionaries(_ACTIONS, st.integers(0, 2))
_TENANTS = st.none() | st.dictionaries(st.sampled_from(["t1", "t2"]), st.integers(0, 2))

_LOST = st.tuples(st.none() | st.integers(0, 3), st.integers(0, 1))

_REQUESTS = st.fixed_dictionaries(
    {
        "owner": _OWNERS,
        "id": _IDS,
        "action": _ACTIONS,
        "attempts": st.integers(1, 3),
        "priority": st.sampled_from([0, 0, 0, 1]),
        "wait": st.sampled_from([None, None, None, 1.0, LEASE, 2 * LEASE]),
    }
)

Open = Callable[[ManualClock], Awaitable[RequestQueue]]


def store_machine(open_store: Open, *, one_clock: bool = True) -> type[RuleBasedStateMachine]:
    """The state machine of one store; its `TestCase` runs it.

    In a test module: `TestMine = store_machine(open_mine).TestCase`.

    Args:
        open_store: opens an empty store that uses the given clock. It is called once for each example, on a loop of the
            machine's own, and `close` is called at the end.
        one_clock: the store takes all times from one clock, so that it can notice when this is set back. False for a
            store that many machines write to, each with its own clock: then the clock is never set back.
    """

    class StoreMachine(_StoreMachine):
        opening = staticmethod(open_store)
        directions = (-1, 1) if one_clock else (1,)

    return StoreMachine


class _StoreMachine(RuleBasedStateMachine):
    """Every rule does the same to both; their answers must be equal, including refusals."""

    opening: Any
    directions: tuple[int, ...] = (-1, 1)
    leases: Bundle[Lease] = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.clock = ManualClock()
        self.store: RequestQueue = self.run(self.opening(self.clock))
        self.model: dict[tuple[str, str], RequestRecord] = {}
        self.numbers: dict[tuple[str, str], int] = {}
        """The order in which the records were stored."""
        self.stored = 0
        self.held = 0
        """The number of claims to choose from."""

    def teardown(self) -> None:
        """Called by hypothesis."""
        self.run(self.store.close())
        self.runner.close()

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """The store's answer; a refusal as its class."""
        try:
            return self.runner.run(coroutine)
        except (LeaseLost, TransitionRefused) as refusal:
            return type(refusal)
        except Error as refusal:
            return refusal.code

    def by_model(self, key: tuple[str, str], event: Event, missing: object) -> Any:
        """The model's answer; a refusal as its class."""
        record = self.model.get(key)
        if record is None:
            return missing
        try:
            self.model[key] = advance(record, event)
        except (LeaseLost, TransitionRefused) as refusal:
            return type(refusal)
        return self.model[key]

    @initialize(requests=st.lists(_REQUESTS, min_size=5, max_size=12))
    def begin(self, requests: list[dict[str, Any]]) -> None:
        """There is a claim to choose."""
        for request in requests:
            self.enqueue(**request)

    @rule(requests=st.lists(_REQUESTS, min_size=1, max_size=4))
    def requests_arrive(self, requests: list[dict[str, Any]]) -> None:
        """New requests, or some that exist already."""
        for request in requests:
            self.enqueue(**request)

    def enqueue(self, owner: str, id: str, action: str, attempts: int, priority: int, wait: float | None) -> None:  # noqa: A002 - the field's name
        """The store's answer, and what it keeps."""
        now = self.clock.now()
        record = RequestRecord(
            owner=owner,
            id=id,
            action=action,
            created_at=now,
            updated_at=now,
            due_at=now,
            max_attempts=attempts,
            priority=priority,
            principal=_PRINCIPALS[owner],
            expires_at=None if wait is None else now + wait,
        )
        stored = self.model.get(record.key)
        answer = None if stored is None else Existing(summarize(stored), stored.action == record.action)
        assert self.run(self._enqueued(record)) == answer
        if self.model.setdefault(record.key, record) is record:
            self.stored += 1
            self.numbers[record.key] = self.stored

    async def _enqueued(self, record: RequestRecord) -> Existing | None:
        return await self.store.enqueue(record)

    @rule(seconds=st.sampled_from([0.5, 1.0, LEASE / 2, LEASE]))
    def time_passes(self, seconds: float) -> None:
        """The clock moves."""
        self.run(self.clock.advance(seconds))

    @rule(seconds=st.sampled_from([2.0, LEASE, 3600.0]), data=st.data())
    def the_clock_is_set(self, seconds: float, data: st.DataObject) -> None:
        """An operator, or a time server, changes the clock; a claim notices."""
        seconds *= data.draw(st.sampled_from(self.directions))
        self.check_claim("w1", 0, Limits())
        self.clock.jump(seconds)
        if seconds < 0:
            self.model = {key: rebase_clock(record, self.clock.now()) for key, record in self.model.items()}
        self.check_claim("w1", 0, Limits())

    @rule(
        target=leases,
        worker=st.sampled_from(["w1", "w2"]),
        limit=st.integers(0, 6),
        free_slots=_HEADROOM,
        tenant_limit=st.none() | st.integers(0, 3),
        tenants=_TENANTS,
        lost=_LOST,
    )
    def claim(
        self,
        worker: str,
        limit: int,
        free_slots: dict[str, int] | None,
        tenant_limit: int | None,
        tenants: dict[str, int] | None,
        lost: tuple[int | None, int],
    ) -> Any:
        """The claimed records must have been due, in a correct order, and changed as the model says."""
        return self.take(worker, limit, Limits(free_slots, tenant_limit, tenants, *lost))

    def take(self, worker: str, limit: int, limits: Limits) -> Any:
        """The claims, for the rules that use them."""
        taken = self.check_claim(worker, limit, limits)
        self.held += len(taken)
        return multiple(*(Lease(one.owner, one.id, one.fence) for one in taken))

    def check_claim(self, worker: str, limit: int, limits: Limits) -> list[RequestRecord]:
        """Claims, and compares the result with the model."""
        now = self.clock.now()
        claims = self.run(self.store.claim(worker, limit, LEASE, **limits.arguments))
        over = [one for one in self.model.values() if expired(one, now) or (due(one, now) and exhausted(one))]
        assert {ended.key for ended in claims.abandoned} == {one.key for one in over}
        for ended in claims.abandoned:
            before = self.model[ended.key]
            event = Abandoned(now) if exhausted(before) else Expired(now)
            assert ended == self.by_model(ended.key, event, None)
        left = [one for one in self.model.values() if due(one, now)]
        check_turns([self.model[one.key] for one in claims.records], left, limit, limits, self.numbers)
        for taken in claims.records:
            assert taken == self.by_model(taken.key, Claimed(now, worker, now + LEASE), None)
        times = [now for one in left if limits.fits(one)]
        times += [
            one.due_at
            for one in self.model.values()
            if one.due_at is not None and not due(one, now) and limits.fits_action(one)
        ]
        assert claims.next_due == min(times, default=None)
        return list(claims.records)

    @precondition(lambda self: self.held > 0)
    @rule(target=leases, limit=st.integers(0, 6), tenant_limit=st.none() | st.integers(0, 2), lost=_LOST)
    def workers_die(self, limit: int, tenant_limit: int | None, lost: tuple[int | None, int]) -> Any:
        """Workers die until their leases have expired; another worker claims their requests."""
        self.run(self.clock.advance(LEASE))
        return self.take("w3", limit, Limits(None, tenant_limit, None, *lost))

    @precondition(lambda self: self.held > 0)
    @rule(held=st.lists(leases, max_size=3, unique=True))
    def renew(self, held: list[Lease]) -> None:
        """Claims are renewed, or reported as lost."""
        lost = self.run(self.store.renew(held, LEASE))
        now = self.clock.now()
        for lease in held:
            expected = self.by_model((lease.owner, lease.id), Renewed(now, lease.fence, now + LEASE), LeaseLost)
            assert (lease in lost) == (expected is LeaseLost)

    @rule(lease=leases, percentage=st.floats(0, 100, width=32), seq=st.integers(1, 1000))
    def progress(self, lease: Lease, percentage: float, seq: int) -> None:
        """Progress is stored, or refused."""
        event = Progressed(self.clock.now(), lease.fence, seq, percentage, "on the way")
        answer = self.run(self.store.update_progress(lease, seq=seq, percentage=percentage, message="on the way"))
        expected = self.by_model((lease.owner, lease.id), event, LeaseLost)
        assert (answer is LeaseLost) == (expected is LeaseLost)

    @rule(lease=consumes(leases), result=st.sampled_from([b"1", b'{"success":true}']), progress=_REPORTS)
    def complete(self, lease: Lease, result: bytes, progress: LastReport | None) -> None:
        """The request ends with a result; repeating it changes nothing."""
        self.held -= 1
        event = Completed(self.clock.now(), lease.fence, 1, result, progress)
        for _ in range(2):
            answer = self.run(self.store.complete(lease, seq=1, result=result, progress=progress))
            expected = self.by_model((lease.owner, lease.id), event, LeaseLost)
            assert (answer is None) == (expected is not LeaseLost or self._repeated(lease, result=result))

    @rule(lease=consumes(leases), error=_ERRORS, wait=st.sampled_from([None, 1.0, 60.0]), progress=_REPORTS)
    def fail(self, lease: Lease, error: ErrorBody, wait: float | None, progress: LastReport | None) -> None:
        """The attempt ends with an error; another attempt may follow."""
        self.held -= 1
        retry_at = None if wait is None else self.clock.now() + wait
        answer = self.run(self.store.fail(lease, seq=1, error=error, retry_at=retry_at, progress=progress))
        event = Failed(self.clock.now(), lease.fence, 1, error, retry_at, None, progress)
        repeated = self._repeated(lease, error=error, retry_at=retry_at)
        expected = self.by_model((lease.owner, lease.id), event, LeaseLost)
        assert (answer is None) == (expected is not LeaseLost or repeated)

    @precondition(lambda self: self.held > 0)
    @rule(held=st.lists(leases, max_size=3, unique=True))
    def release(self, held: list[Lease]) -> None:
        """Claims are returned."""
        self.run(self.store.release(held))
        for lease in held:
            self.by_model((lease.owner, lease.id), Released(self.clock.now(), lease.fence), None)

    @rule(owner=_OWNERS, id=_IDS)
    def cancel(self, owner: str, id: str) -> None:  # noqa: A002 - the field's name
        """The owner cancels the request."""
        answer = self.run(self.store.cancel((owner, id), "enough"))
        assert answer == self.by_model((owner, id), Cancelled(self.clock.now(), "enough"), "NOT_FOUND")

    @rule(owner=_OWNERS, id=_IDS)
    def requeue(self, owner: str, id: str) -> None:  # noqa: A002 - the field's name
        """An operator runs it again."""
        assert self.run(self.store.requeue((owner, id))) == self.by_model(
            (owner, id), Requeued(self.clock.now()), "NOT_FOUND"
        )

    @rule(owner=_OWNERS, id=_IDS)
    def deliver(self, owner: str, id: str) -> None:  # noqa: A002 - the field's name
        """Outcomes are delivered; requests that have not ended are ignored."""
        self.run(self.store.mark_delivered([(owner, id)]))
        self.by_model((owner, id), Delivered(self.clock.now()), None)

    @rule(age=st.sampled_from([0.0, 1.0, LEASE]))
    def purge(self, age: float) -> None:
        """Old requests are purged."""
        before = self.clock.now() - age
        old = [key for key, one in self.model.items() if one.finished_at is not None and one.finished_at < before]
        assert self.run(self.store.purge(before)) == len(old)
        for key in old:
            del self.model[key]

    @rule(owner=_OWNERS)
    def look(self, owner: str) -> None:
        """The undelivered requests, and how many requests are in each state."""
        undelivered = self.run(self.store.undelivered(owner))
        assert set(undelivered) == {
            one.key for one in self.model.values() if one.owner == owner and one.delivered_at is None
        }
        counts = self.run(self.store.counts())
        statuses = [one.status for one in self.model.values()]
        assert counts == {status: statuses.count(status) for status in Status}

    @invariant()
    def the_store_and_the_table_agree(self) -> None:
        """Compares record by record, field by field."""
        found = {record.key: msgspec.structs.asdict(record) for record in self.run(whole_records(self.store))}
        assert found == {key: msgspec.structs.asdict(record) for key, record in self.model.items()}

    def _repeated(
        self,
        lease: Lease,
        *,
        result: bytes | None = None,
        error: ErrorBody | None = None,
        retry_at: float | None = None,
    ) -> bool:
        """Whether the record has already ended in this way under this claim."""
        record = self.model.get((lease.owner, lease.id))
        if record is None or record.fence != lease.fence:
            return False
        if result is not None:
            return record.status == "COMPLETED" and record.result == result
        if retry_at is not None:
            return record.status == "RETRYING" and record.due_at == retry_at
        return record.status == "FAILED" and record.error == error
