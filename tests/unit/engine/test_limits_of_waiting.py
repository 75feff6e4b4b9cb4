"""What an action says of who may use it, how long its requests wait, and how they are told of."""

import asyncio

from streamer.core.attempts import Outcome
from streamer.core.errors import Error, StoreUnavailable
from streamer.core.principal import Principal
from streamer.engine import orphan_watch
from streamer.engine.orphans import OrphanCanceller

KEY = ("client:one", "r")


async def waits(_request):
    await asyncio.Event().wait()


async def ask(house, peer, action, payload=None, name="q"):
    house.send(peer, action=f"streamer.{action}", id=name, payload=payload)
    await house.settle()
    return peer.of(name)[-1]


class TestPermissions:
    async def test_who_lacks_one_is_told_which_and_nothing_runs(self, house):
        ran = []

        async def runs(request):
            ran.append(request.principal)

        house.declare("work", runs, immediate=True, permissions=frozenset({"reports:write", "reports:read"}))
        peer = house.peer()
        peer.principal = Principal(user_id="u", permissions=frozenset({"reports:read"}))
        house.send(peer, action="work", id="r")
        assert peer.messages[-1]["error"] == {
            "code": "FORBIDDEN",
            "message": "You may not use 'work': permissions are missing",
            "retryable": False,
            "details": {"missing_permissions": ["reports:write"]},
        }
        assert ran == []

    async def test_nobody_in_particular_lacks_all(self, house):
        house.declare("work", waits, permissions=frozenset({"a"}))
        peer = house.peer()
        house.send(peer, action="work", id="r")
        assert peer.messages[-1]["error"]["details"] == {"missing_permissions": ["a"]}

    async def test_who_holds_them_is_known_to_the_handler_directly_and_through_the_queue(self, house):
        seen = []

        async def sees(request):
            seen.append(request.principal)

        house.declare("now", sees, immediate=True, permissions=frozenset({"a"}))
        house.declare("later", sees, mode="async", permissions=frozenset({"a"}))
        peer = house.peer()
        peer.principal = Principal(user_id="u", tenant_id="t", permissions=frozenset({"a", "b"}), claims={"x": 1})
        house.send(peer, action="now", id="r1")
        house.send(peer, action="later", id="r2")
        await house.start()
        assert seen == [peer.principal, peer.principal]


class TestWaiting:
    async def test_a_request_says_until_when_it_may_begin(self, house):
        house.declare("work", waits, mode="async", expires_after=60.0)
        house.worker  # noqa: B018 - declares the service's actions
        peer = house.peer()
        house.send(peer, action="work", id="r")
        await house.settle()
        assert (await house.store.get(KEY)).expires_at == house.clock.now() + 60
        told = (await ask(house, peer, "status", {"request_id": "r"}))["data"]
        assert told["expires_at"] == "2026-01-01T00:01:00.000Z"

    async def test_without_a_limit_it_waits(self, house):
        house.declare("work", waits, mode="async")
        peer = house.peer()
        house.send(peer, action="work", id="r")
        await house.settle()
        assert (await house.store.get(KEY)).expires_at is None


async def test_an_owner_hears_how_earlier_attempts_ended_but_not_whose_machines_they_ran_on(house):
    async def fails(request):
        if request.attempt == 1:
            raise Error("BUSY", "try later", retryable=True)
        return "done"

    house.declare("work", fails, mode="async")
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.start()
    await house.clock.advance(60)
    told = (await ask(house, peer, "status", {"request_id": "r"}))["data"]
    (attempt,) = told["history"]
    assert attempt.keys() == {"started_at", "ended_at", "outcome", "error"}
    assert (attempt["outcome"], attempt["error"]["code"]) == (Outcome.FAILED, "BUSY")
    house.send(peer, action="streamer.list", id="l")
    await house.settle()
    assert "history" not in peer.of("l")[-1]["data"]["requests"][0]


async def test_an_attempt_that_was_lost_has_no_error_of_its_own(house):
    async def done(_request):
        return 1

    house.declare("work", done, mode="async")
    peer = house.peer()
    house.send(peer, action="work", id="r")
    await house.settle()
    await house.store.claim("dead", 1, 30)
    await house.clock.advance(30)
    await house.start()
    told = (await ask(house, peer, "status", {"request_id": "r"}))["data"]
    assert [one.keys() for one in told["history"]] == [{"started_at", "ended_at", "outcome"}]


async def test_a_store_that_does_not_answer_is_told_as_something_that_passes(house):
    house.worker  # noqa: B018 - declares the service's actions
    peer = house.peer()

    async def broken(*_arguments):
        raise StoreUnavailable("the disk is gone")

    house.store.get = broken
    answer = await ask(house, peer, "status", {"request_id": "r"})
    assert (answer["error"]["code"], answer["error"]["details"]) == ("OVERLOADED", {"retry_after_ms": 1000})
    assert "disk" not in str(answer)
    assert house.errors() == ["the store did not respond"]


async def test_resuming_what_is_not_acknowledged_yet_on_this_connection_waits_for_the_acknowledgment(house):
    house.declare("work", waits, mode="async")
    house.worker  # noqa: B018 - declares the service's actions
    peer = house.peer()
    gate = asyncio.get_running_loop().create_future()
    enqueue = house.adapter.enqueue

    async def slow(request):
        existing = await enqueue(request)
        await gate
        return existing

    house.adapter.enqueue = slow
    house.send(peer, action="work", id="r")
    await house.settle()
    await ask(house, peer, "resume", {"request_id": "r"})
    assert peer.kinds("r") == []
    gate.set_result(None)
    await house.settle()
    assert peer.kinds("r") == ["acknowledgment"]
    await house.start()
    await ask(house, peer, "cancel", {"request_id": "r"}, "c")
    assert peer.kinds("r") == ["acknowledgment", "error"]


class TestStopping:
    async def test_the_owner_hears_of_a_cancellation_before_the_handler_has_tidied_up(self, house):
        tidy = asyncio.Event()

        async def tidies(_request):
            try:
                await asyncio.Event().wait()
            finally:
                await tidy.wait()

        house.declare("work", tidies, mode="async")
        peer = house.peer()
        house.send(peer, action="work", id="r")
        await house.start()
        await ask(house, peer, "cancel", {"request_id": "r"})
        assert peer.kinds("r") == ["acknowledgment", "error"]
        assert KEY in house.worker.running
        tidy.set()
        await house.settle()
        assert (peer.kinds("r"), house.worker.running) == (["acknowledgment", "error"], {})

    async def test_a_handler_that_goes_on_after_its_cancellation_is_cancelled_again(self, house):
        async def stubborn(_request):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.Event().wait()

        house.declare("work", stubborn, mode="async")
        peer = house.peer()
        house.send(peer, action="work", id="r")
        await house.start()
        await ask(house, peer, "cancel", {"request_id": "r"})
        assert KEY in house.worker.running
        await house.clock.advance(5)
        assert house.worker.running == {}
        assert house.errors() == ["a handler does not stop; it is cancelled again"]


async def test_a_tenants_running_requests_are_told_to_the_store(make_house):
    house = make_house(tenant_concurrency=2)
    asked = []
    claim = house.store.claim

    async def listens(worker, limit, lease, *, free_slots=None, tenant_limit=None, tenants=None, **_lost):
        asked.append((tenant_limit, dict(tenants)))
        return await claim(worker, limit, lease, free_slots=free_slots)

    house.store.claim = listens
    house.declare("work", waits, mode="async")
    peer = house.peer()
    for number, tenant in enumerate(["acme", "acme", "", "globex"]):
        peer.principal = Principal(user_id="u", tenant_id=tenant)
        house.send(peer, action="work", id=f"r{number}")
    await house.settle()
    await house.worker.step()
    await house.worker.step()
    assert asked == [(2, {}), (2, {"acme": 2, "globex": 1})]
    await house.stop()


async def test_all_that_an_earlier_process_left_behind_is_found(house, monkeypatch):
    monkeypatch.setattr(orphan_watch, "_PAGE", 1)
    house.declare("work", waits, mode="async", cancel_after=0.0)
    house.declare("other", waits, mode="async")
    peer = house.peer()
    for name, action in [("r1", "work"), ("r2", "work"), ("r3", "other")]:
        house.send(peer, action=action, id=name)
    await house.settle()
    house.router.disconnected(peer)
    canceller = OrphanCanceller(house.subscriptions, house.worker, logger=house.logger)
    watching = orphan_watch.OrphanWatch(
        house.store, house.routes, house.subscriptions, canceller, clock=house.clock, logger=house.logger
    )
    await watching.recover()
    await house.clock.advance(orphan_watch.RETURN_GRACE)
    await canceller.sweep()
    assert [(await house.store.get(("client:one", name))).status.value for name in ("r1", "r2", "r3")] == [
        "CANCELLED",
        "CANCELLED",
        "PENDING",
    ]
