"""A caller's own requests: listed, resumed on another connection, cancelled; and nobody else's."""

from __future__ import annotations

import asyncio
import base64

import pytest

from streamer.contracts.stores import Lease
from streamer.core.errors import StoreUnavailable
from streamer.core.messages import Result
from streamer.core.records import Status
from streamer.engine import owner_actions, pacing
from streamer.engine.delivery import Delivery
from streamer.engine.outcomes import stored_result


class Gated:
    """A handler that reports and waits until it is told to go on."""

    def __init__(self):
        self.gate = asyncio.Event()
        self.stopped = []
        self.metadata = {}

    async def __call__(self, request):
        request.progress.report(40, "half way", **self.metadata)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.stopped.append(request.id)
            raise
        return "done"


@pytest.fixture
def gated(house):
    handler = Gated()
    house.declare("work", handler, mode="async")
    return handler


async def ask(house, peer, action, payload=None, name="q"):
    house.send(peer, action=f"streamer.{action}", id=name, payload=payload)
    await house.settle()
    return peer.of(name)[-1]


async def begin(house, peer, name="r"):
    house.send(peer, action="work", id=name)
    await house.settle()


def leave(house, peer):
    house.connections.remove(peer)
    house.router.disconnected(peer)


class TestResume:
    async def test_a_running_request_goes_on_over_the_next_connection(self, house, gated):
        await house.start()
        first = house.peer("c1")
        await begin(house, first)
        leave(house, first)
        second = house.peer("c2")
        answer = await ask(house, second, "resume", {"request_id": "r"})
        assert answer["data"] == {"requests": ["r"]}
        assert [(one["type"], one["percentage"], one["message"]) for one in second.of("r")] == [
            ("progress", 40, "half way")
        ]
        gated.gate.set()
        await house.settle()
        assert second.kinds("r") == ["progress", "complete"]
        assert [one["seq"] for one in second.of("r")] == sorted(one["seq"] for one in second.of("r"))
        assert first.kinds("r") == ["acknowledgment", "progress"]

    async def test_the_newest_report_is_told_with_all_that_it_said(self, house, gated):
        await house.start()
        gated.metadata = {"rows": 7}
        first, second = house.peer("c1"), house.peer("c2")
        await begin(house, first)
        await house.clock.advance(5)
        await ask(house, second, "resume", {"request_id": "r"})
        assert second.of("r") == first.of("r")[1:]
        assert second.of("r")[0]["metadata"] == {"rows": 7}

    async def test_a_report_that_holds_what_is_no_json_is_told_without_it(self, house, gated):
        await house.start()
        first, second = house.peer("c1"), house.peer("c2")
        await begin(house, first)
        # Nobody has tried to send it yet: the last one went out just now.
        house.worker.running["client:one", "r"].reporter.report(50, "more", rows=object())
        await ask(house, second, "resume", {"request_id": "r"})
        assert [(one["percentage"], one.get("metadata")) for one in second.of("r")] == [(50, None)]

    async def test_what_ended_in_between_is_told_at_once_and_nothing_after(self, house, gated):
        await house.start()
        first = house.peer("c1")
        await begin(house, first)
        leave(house, first)
        gated.gate.set()
        await house.settle()
        second = house.peer("c2")
        await ask(house, second, "resume")
        assert second.kinds("r") == ["complete"]
        assert ("client:one", "r") not in house.delivery.subscribed_here()

    async def test_what_the_client_has_already_is_not_sent_again(self, house, gated):
        await house.start()
        first = house.peer("c1")
        await begin(house, first)
        seen = first.of("r")[-1]["seq"]
        second = house.peer("c2")
        await ask(house, second, "resume", {"request_id": "r", "after_seq": seen})
        assert second.of("r") == []
        gated.gate.set()
        await house.settle()
        assert (first.kinds("r")[-1], second.kinds("r")) == ("complete", ["complete"])

    async def test_without_an_id_it_is_all_that_is_unfinished_or_untold(self, house, gated):
        peer = house.peer("c1")
        assert house.worker
        for name in ("waiting", "ended_undelivered", "told"):
            await begin(house, peer, name)
        for name in ("ended_undelivered", "told"):
            await house.store.cancel(("client:one", name))
        await house.store.mark_delivered([("client:one", "told")])
        second = house.peer("c2")
        answer = await ask(house, second, "resume")
        assert answer["data"]["requests"] == ["waiting", "ended_undelivered"]
        assert (second.kinds("ended_undelivered"), second.kinds("told")) == (["error"], [])
        assert second.of("waiting")[0]["percentage"] == 0

    async def test_a_request_that_waits_for_its_next_attempt_or_is_purged_meanwhile(self, house, gated):
        assert house.worker
        peer = house.peer("c1")
        await begin(house, peer)
        second = house.peer("c2")
        get = house.store.get
        answers = [await get(("client:one", "r")), None]

        async def vanishing(_key):
            return answers.pop(0)

        house.store.get = vanishing
        answer = await ask(house, second, "resume", {"request_id": "r"})
        house.store.get = get
        assert answer["data"]["requests"] == ["r"]
        assert second.of("r") == []

    async def test_too_many_for_one_answer_are_resumed_oldest_first_and_the_answer_says_so(
        self, house, gated, monkeypatch
    ):
        monkeypatch.setattr(owner_actions, "MAX_RESUMED", 2)
        await house.start()
        first = house.peer("c1")
        for name in ("r1", "r2", "r3"):
            await begin(house, first, name)
            await house.clock.advance(1)
        second = house.peer("c2")
        answer = await ask(house, second, "resume")
        assert answer["data"] == {"requests": ["r1", "r2"], "more": True}
        await ask(house, second, "cancel", {"request_id": "r1"}, "c")
        await house.store.mark_delivered([("client:one", "r1")])
        answer = await ask(house, second, "resume", None, "q2")
        assert answer["data"] == {"requests": ["r2", "r3"]}

    async def test_resuming_twice_on_one_connection_is_resuming_once(self, house, gated):
        await house.start()
        peer = house.peer("c1")
        await begin(house, peer)
        await ask(house, peer, "resume")
        gated.gate.set()
        await house.settle()
        assert peer.kinds("r").count("complete") == 1

    async def test_resuming_while_the_outcome_is_being_written_does_not_use_up_its_number(self, house, gated):
        await house.start()
        first = house.peer("c1")
        await begin(house, first)
        gate = asyncio.get_running_loop().create_future()
        complete = house.store.complete

        async def slow(*arguments, **options):
            await gate
            await complete(*arguments, **options)

        house.store.complete = slow
        gated.gate.set()
        await house.settle()
        second = house.peer("c2")
        await ask(house, second, "resume", {"request_id": "r"})
        gate.set_result(None)
        await house.settle()
        progress, complete_message = second.of("r")
        assert (progress["type"], complete_message["type"]) == ("progress", "complete")
        assert complete_message["seq"] > progress["seq"]

    async def test_progress_published_while_it_attaches_never_steps_back(self, house, gated):
        await house.start()
        first = house.peer("c1")
        await begin(house, first)
        second = house.peer("c2")
        get = house.store.get

        async def slow(key):
            await house.delivery.progress(key, lambda: b'{"type":"progress","request_id":"r","seq":1,"percentage":1}')
            return await get(key)

        house.store.get = slow
        await ask(house, second, "resume", {"request_id": "r"})
        house.store.get = get
        assert [one["percentage"] for one in second.of("r")] == [40]


class TestCancel:
    async def test_a_queued_request_is_cancelled_at_once(self, house, gated):
        assert house.worker
        peer = house.peer()
        await begin(house, peer)
        answer = await ask(house, peer, "cancel", {"request_id": "r"})
        assert answer["data"] == {"request_id": "r", "status": "CANCELLED"}
        assert peer.kinds("r") == ["acknowledgment", "error"]
        assert peer.of("r")[-1]["error"]["code"] == "CANCELLED"

    async def test_a_running_handler_is_told_to_stop_and_is_never_attempted_again(self, house, gated):
        await house.start()
        peer = house.peer()
        await begin(house, peer)
        await ask(house, peer, "cancel", {"request_id": "r"})
        assert gated.stopped == ["r"]
        assert peer.kinds("r")[-1] == "error"
        await house.clock.advance(1000)
        assert gated.stopped == ["r"]
        assert (await house.store.get(("client:one", "r"))).status == "CANCELLED"

    @pytest.mark.parametrize("reason", ["lost", "release"])
    async def test_a_job_stopped_before_its_first_step_ends_all_the_same(self, house, gated, reason):
        assert house.worker
        peer = house.peer()
        await begin(house, peer)
        await house.worker.step()
        job = house.worker.running[("client:one", "r")]
        if reason == "lost":
            await house.store.cancel(("client:one", "r"))
        job.stop(reason)
        await house.settle()
        assert house.worker.running == {}
        assert gated.stopped == []
        assert peer.kinds("r") == (["acknowledgment", "error"] if reason == "lost" else ["acknowledgment"])

    async def test_what_is_cancelled_while_it_is_being_claimed_never_begins(self, house, gated):
        peer = house.peer()
        assert house.worker
        await begin(house, peer)
        claim = house.store.claim
        answered = asyncio.get_running_loop().create_future()

        async def slow(*arguments, **options):
            claims = await claim(*arguments, **options)
            await answered
            return claims

        house.store.claim = slow
        await house.start()
        await ask(house, peer, "cancel", {"request_id": "r"})
        answered.set_result(None)
        await house.settle()
        assert gated.stopped == []
        assert house.worker.running == {}
        assert peer.kinds("r") == ["acknowledgment", "error"]

    async def test_what_has_ended_cannot_be_cancelled(self, house, gated):
        await house.start()
        gated.gate.set()
        peer = house.peer()
        await begin(house, peer)
        answer = await ask(house, peer, "cancel", {"request_id": "r"})
        assert (answer["error"]["code"], answer["error"]["details"]) == ("CONFLICT", {"status": "COMPLETED"})


async def test_a_listing_is_the_callers_own_newest_first_in_pages(house, gated):
    assert house.worker
    peer, other = house.peer(), house.peer("c2", "client:two")
    for number in range(5):
        await begin(house, peer, f"r{number}")
        await house.clock.advance(1)
    await begin(house, other, "foreign")
    first = (await ask(house, peer, "list", {"limit": 3}))["data"]
    assert [one["request_id"] for one in first["requests"]] == ["r4", "r3", "r2"]
    second = (await ask(house, peer, "list", {"limit": 3, "cursor": first["cursor"]}))["data"]
    assert ([one["request_id"] for one in second["requests"]], second["cursor"]) == (["r1", "r0"], None)
    await house.store.cancel(("client:one", "r1"))
    cancelled = (await ask(house, peer, "list", {"status": "CANCELLED"}))["data"]["requests"]
    assert [one["request_id"] for one in cancelled] == ["r1"]
    assert "error" not in cancelled[0]
    assert (await ask(house, peer, "list"))["data"]["requests"][0]["request_id"] == "r4"


async def test_a_cursor_says_nothing_of_others_and_is_its_owners_alone(house, gated):
    assert house.worker
    mine, other = house.peer("c1"), house.peer("c2", "client:two")
    cursors = []
    for turn, owner in enumerate((mine, other, mine)):
        for n in range(3):
            await begin(house, owner, f"{turn}-{n}")
        cursors.append((await ask(house, owner, "list", {"limit": 1}))["data"]["cursor"])
    # Of the nine rows the last ones of these pages are number 2, 5 and 8.
    plain = [base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)) for cursor in cursors]
    assert all(int.from_bytes(text[-8:]) > 1000 for text in plain)
    for bad in (cursors[1], cursors[0][:-1], cursors[0] + "A", "AAAA"):
        refused = await ask(house, mine, "list", {"cursor": bad})
        assert refused["error"]["code"] == "VALIDATION_ERROR"
    assert len((await ask(house, mine, "list", {"cursor": cursors[0]}))["data"]["requests"]) == 2


@pytest.mark.parametrize("action", ["status", "resume", "cancel"])
async def test_to_others_a_request_does_not_exist(house, gated, action):
    await house.start()
    peer, stranger = house.peer(), house.peer("c2", "client:two")
    await begin(house, peer)
    answer = await ask(house, stranger, action, {"request_id": "r"})
    unknown = await ask(house, stranger, action, {"request_id": "no-such"}, name="q2")
    assert answer["error"]["code"] == unknown["error"]["code"] == "NOT_FOUND"
    assert stranger.of("r") == []
    gated.gate.set()
    await house.settle()
    assert peer.kinds("r")[-1] == "complete"


class TestConfirmations:
    async def test_an_outcome_counts_as_delivered_when_its_client_has_shown_that_it_took_it(self, house, gated):
        writing = asyncio.create_task(house.tracker.run())
        await house.start()
        gated.gate.set()
        takes, keeps_silent = house.peer("c1"), house.peer("c2")
        await begin(house, takes, "taken")
        await begin(house, keeps_silent, "on its way")
        house.router.confirmed(takes, ["taken"])
        await house.clock.advance(2)
        assert [name for _, name in await house.store.undelivered("client:one")] == ["on its way"]
        writing.cancel()

    @pytest.mark.parametrize("being_written", [False, True])
    async def test_what_was_taken_before_an_operator_ran_it_again_is_not_its_new_outcome(
        self, house, gated, being_written
    ):
        await house.start()
        peer = house.peer("c1")
        await begin(house, peer)
        await ask(house, peer, "cancel", {"request_id": "r"})
        mark_delivered = house.store.mark_delivered
        refused = asyncio.Event()

        async def refusing(_keys):
            await refused.wait()
            raise StoreUnavailable("full")

        house.router.confirmed(peer, ["r"])
        if being_written:
            house.store.mark_delivered = refusing
            writing = asyncio.create_task(house.tracker.write())
            await house.settle()
        gated.gate.set()
        await house.store.requeue(("client:one", "r"))
        house.worker.wake()
        await house.settle()
        assert (await house.store.get(("client:one", "r"))).status is Status.COMPLETED
        if being_written:
            refused.set()
            await writing
            house.store.mark_delivered = mark_delivered
        await house.tracker.write()
        assert await house.store.undelivered("client:one") == [("client:one", "r")]

    async def test_resuming_does_not_wait_for_the_next_write_of_what_was_taken(self, house, gated):
        await house.start()
        gated.gate.set()
        peer = house.peer("c1")
        await begin(house, peer)
        house.router.confirmed(peer, ["r"])
        second = house.peer("c2")
        assert (await ask(house, second, "resume"))["data"] == {"requests": []}

    async def test_one_connection_of_two_that_took_it_is_enough(self, house, gated):
        await house.start()
        first, second = house.peer("c1"), house.peer("c2")
        await begin(house, first)
        await ask(house, second, "resume")
        gated.gate.set()
        await house.settle()
        assert (first.kinds("r")[-1], second.kinds("r")[-1]) == ("complete", "complete")
        house.router.confirmed(second, ["r"])
        await house.tracker.write()
        assert await house.store.undelivered("client:one") == []

    async def test_a_store_that_refuses_is_asked_again(self, house, gated):
        await house.start()
        gated.gate.set()
        peer = house.peer("c1")
        await begin(house, peer)
        mark_delivered = house.store.mark_delivered

        async def refusing(_keys):
            raise StoreUnavailable("full")

        house.store.mark_delivered = refusing
        house.router.confirmed(peer, ["r"])
        await house.tracker.write()
        assert any("not recorded" in event for _, event, _ in house.logger.lines)
        house.store.mark_delivered = mark_delivered
        await house.tracker.write()
        assert await house.store.undelivered("client:one") == []

    async def test_what_is_being_written_is_waited_for(self, house, gated):
        await house.start()
        gated.gate.set()
        peer = house.peer("c1")
        await begin(house, peer)
        mark_delivered = house.store.mark_delivered
        writes = asyncio.Event()

        async def slowly(keys):
            await writes.wait()
            await mark_delivered(keys)

        house.store.mark_delivered = slowly
        house.router.confirmed(peer, ["r"])
        first = asyncio.create_task(house.tracker.write())
        await house.settle()
        again = house.peer("c2")
        house.send(again, action="streamer.resume", id="q")
        await house.settle()
        assert again.messages == []
        writes.set()
        await first
        await house.settle()
        assert [one["data"] for one in again.messages] == [{"requests": []}]

    async def test_a_write_that_is_cancelled_is_made_up_for(self, house, gated):
        await house.start()
        gated.gate.set()
        peer = house.peer("c1")
        await begin(house, peer)
        mark_delivered = house.store.mark_delivered

        async def never(_keys):
            await asyncio.Event().wait()

        house.store.mark_delivered = never
        house.router.confirmed(peer, ["r"])
        writing = asyncio.create_task(house.tracker.write())
        await house.settle()
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        house.store.mark_delivered = mark_delivered
        await house.tracker.write()
        assert await house.store.undelivered("client:one") == []

    async def test_without_a_tracker_nobody_records_it(self, house):
        delivery = Delivery(house.connections)
        delivery.confirmed([("client:one", "r")])
        await delivery.record_confirmed()


class TestSlowConnections:
    """A client that is behind gets outcomes one at a time, each when it has taken the one before."""

    async def ended(self, house, gated, *names):
        await house.start()
        gated.gate.set()
        for name in names:
            await begin(house, house.peer("before"), name)

    async def test_resume_sends_the_next_outcome_when_the_client_has_caught_up(self, house, gated):
        await self.ended(house, gated, "r1", "r2", "r3")
        slow = house.peer("slow")
        room = slow.caught_up = asyncio.get_running_loop().create_future()
        house.send(slow, action="streamer.resume", id="q")
        await house.settle()
        assert slow.messages == []
        # It catches up, and is behind again with the first outcome.
        slow.caught_up = None
        room.set_result(None)
        read = house.store.get

        async def behind_again(key):
            slow.caught_up = asyncio.get_running_loop().create_future()
            return await read(key)

        house.store.get = behind_again
        await house.settle()
        assert (slow.kinds("r1"), slow.kinds("r2"), slow.kinds("q")) == (["complete"], [], [])
        house.store.get = read
        room, slow.caught_up = slow.caught_up, None
        room.set_result(None)
        await house.settle()
        assert [one["request_id"] for one in slow.messages] == ["r1", "r2", "r3", "q"]

    async def test_meanwhile_other_requests_of_the_connection_go_on(self, house, gated):
        await self.ended(house, gated, "r1")
        slow = house.peer("slow")
        slow.caught_up = asyncio.get_running_loop().create_future()
        house.send(slow, action="streamer.resume", id="q")
        await house.settle()
        await ask(house, slow, "ping", None, "p")
        await begin(house, slow, "other")
        assert slow.kinds("other")[0] == "acknowledgment"
        assert slow.kinds("q") == []

    async def test_what_is_under_way_is_attached_before_any_outcome_is_waited_for(self, house, gated):
        await self.ended(house, gated, "r1")
        gated.gate.clear()
        await begin(house, house.peer("before"), "running")
        slow = house.peer("slow")
        slow.caught_up = asyncio.get_running_loop().create_future()
        house.send(slow, action="streamer.resume", id="q")
        await house.settle()
        assert slow.kinds("running") == ["progress"]
        assert slow.kinds("r1") == []

    async def test_live_outcomes_wait_in_the_store_and_come_once_each(self, house, gated):
        await house.start()
        slow = house.peer("slow")
        for name in ("r1", "r2"):
            await begin(house, slow, name)
        room = slow.caught_up = asyncio.get_running_loop().create_future()
        gated.gate.set()
        await house.settle()
        assert (slow.kinds("r1")[-1], slow.kinds("r2")[-1]) == ("progress", "progress")
        assert house.delivery.waits("slow")
        slow.caught_up = None
        room.set_result(None)
        await house.settle()
        assert (slow.kinds("r1").count("complete"), slow.kinds("r2").count("complete")) == (1, 1)
        assert not house.delivery.waits("slow")

    async def test_resuming_what_waits_to_be_sent_sends_it_once(self, house, gated):
        await house.start()
        slow = house.peer("slow")
        await begin(house, slow, "r1")
        room = slow.caught_up = asyncio.get_running_loop().create_future()
        gated.gate.set()
        await house.settle()
        house.send(slow, action="streamer.resume", id="q")
        await house.settle()
        slow.caught_up = None
        room.set_result(None)
        await house.settle()
        assert slow.kinds("r1").count("complete") == 1
        assert slow.kinds("q") == ["response"]

    async def test_two_resumes_at_once_send_each_outcome_once(self, house, gated):
        await self.ended(house, gated, "r1", "r2")
        slow = house.peer("slow")
        room = slow.caught_up = asyncio.get_running_loop().create_future()
        house.send(slow, action="streamer.resume", id="q1")
        house.send(slow, action="streamer.resume", id="q2")
        house.send(slow, action="streamer.resume", id="q3", payload={"request_id": "r2"})
        await house.settle()
        slow.caught_up = None
        room.set_result(None)
        await house.settle()
        assert (slow.kinds("r1"), slow.kinds("r2")) == (["complete"], ["complete"])
        assert [slow.kinds(name) for name in ("q1", "q2", "q3")] == [["response"]] * 3
        # One after the other is asking again.
        await ask(house, slow, "resume", {"request_id": "r2"}, "q4")
        assert slow.kinds("r2") == ["complete", "complete"]

    async def test_what_ends_while_its_connection_resumes_is_sent_once(self, house, gated):
        await self.ended(house, gated, "r1")
        gated.gate.clear()
        slow = house.peer("slow")
        house.worker.pause()
        await begin(house, slow, "live")
        room = slow.caught_up = asyncio.get_running_loop().create_future()
        house.send(slow, action="streamer.resume", id="q")
        await house.settle()
        # It is still queued: its turn is the last. It ends before that.
        slow.caught_up = None
        gated.gate.set()
        for record in (await house.store.claim("w1", 1, 30.0)).records:
            await house.store.complete(
                Lease(record.owner, record.id, record.fence), seq=record.seq + 1, result=stored_result(Result())
            )
            await house.delivery.terminal(record.key, lambda: b'{"type": "complete", "request_id": "live"}')
        room.set_result(None)
        await house.settle()
        assert slow.kinds("live") == ["acknowledgment", "complete"]
        assert (slow.kinds("r1"), slow.kinds("q")) == (["complete"], ["response"])

    async def test_no_progress_comes_after_the_outcome_that_was_sent_while_it_was_read(self, house, gated):
        await house.start()
        peer = house.peer("c1")
        await begin(house, peer, "r1")
        read = house.store.get

        async def ends_meanwhile(key):
            record = await read(key)
            await house.delivery.terminal(key, lambda: b'{"type": "complete", "request_id": "r1"}')
            return record

        house.store.get = ends_meanwhile
        await ask(house, peer, "resume")
        house.store.get = read
        assert peer.kinds("r1")[-1] == "complete"

    async def test_outcomes_of_what_is_sent_again_are_read_one_at_a_time_when_there_is_room(self, house, gated):
        names = ("r1", "r2", "r3")
        await self.ended(house, gated, *names)
        slow = house.peer("slow")
        room = slow.caught_up = asyncio.get_running_loop().create_future()
        read, reading = house.store.get, []

        async def counted(key):
            assert not reading, "one outcome at a time"
            reading.append(key)
            await asyncio.sleep(0)
            reading.clear()
            return await read(key)

        house.store.get = counted
        for name in names:
            house.send(slow, action="work", id=name)
        await house.settle()
        assert [slow.kinds(name) for name in names] == [["acknowledgment"]] * 3
        slow.caught_up = None
        room.set_result(None)
        await house.settle()
        assert [slow.kinds(name) for name in names] == [["acknowledgment", "complete"]] * 3

    async def test_what_was_deleted_before_its_outcome_could_be_sent_ends_with_an_error(self, house, gated):
        await self.ended(house, gated, "r1")
        slow = house.peer("slow")
        room = slow.caught_up = asyncio.get_running_loop().create_future()
        await begin(house, slow, "r1")
        await house.store.purge(house.clock.now() + 1)
        slow.caught_up = None
        room.set_result(None)
        await house.settle()
        assert slow.kinds("r1") == ["acknowledgment", "error"]
        assert slow.of("r1")[-1]["error"]["code"] == "OVERLOADED"

    @pytest.mark.parametrize("ends_meanwhile", [False, True])
    async def test_what_runs_again_before_its_outcome_could_be_sent_is_followed(self, house, gated, ends_meanwhile):
        await house.start()
        slow = house.peer("slow")
        await begin(house, slow, "r1")
        await house.worker.cancel(("client:one", "r1"), "An operator")
        await house.settle()
        room = slow.caught_up = asyncio.get_running_loop().create_future()
        await begin(house, slow, "r1")
        await house.store.requeue(("client:one", "r1"))
        read = house.store.get

        async def read_and_end(key):
            record = await read(key)
            house.store.get = read
            gated.gate.set()
            await house.settle()
            return record

        if ends_meanwhile:
            house.store.get = read_and_end
        house.worker.wake()
        await house.settle()
        slow.caught_up = None
        room.set_result(None)
        await house.settle()
        gated.gate.set()
        await house.settle()
        assert slow.kinds("r1")[-1] == "complete"
        assert slow.kinds("r1").count("complete") == 1

    async def test_a_drain_waits_for_no_slow_client(self, house, gated):
        await house.start()
        slow = house.peer("slow")
        await begin(house, slow, "live")
        await begin(house, house.peer("before"), "resumed")
        slow.caught_up = asyncio.get_running_loop().create_future()
        gated.gate.set()
        await house.settle()
        house.send(slow, action="streamer.resume", id="q", payload={"request_id": "resumed"})
        await house.settle()
        house.router.begin_drain()
        await house.router.settle()
        (answer,) = slow.of("q")
        assert (answer["error"]["code"], answer["error"]["details"]["reconnect"]) == ("OVERLOADED", True)
        await house.settle()
        assert not house.delivery.waits("slow")
        assert {name for _, name in await house.store.undelivered("client:one")} == {"live", "resumed"}

    async def test_a_connection_that_ends_while_it_is_behind_leaves_nothing_behind(self, house, gated):
        await house.start()
        slow = house.peer("slow")
        await begin(house, slow, "live")
        await begin(house, house.peer("before"), "resumed")
        room = slow.caught_up = asyncio.get_running_loop().create_future()
        gated.gate.set()
        await house.settle()
        house.send(slow, action="streamer.resume", id="q")
        await house.settle()
        leave(house, slow)
        room.set_result(None)
        await house.router.settle()
        await house.settle()
        assert not house.delivery.waits("slow")
        assert slow.kinds("live")[-1] == "progress"

    async def test_an_outcome_that_cannot_be_read_is_read_again_until_it_can(self, house, gated, monkeypatch):
        monkeypatch.setattr(pacing, "_AGAIN", 0.001)
        await house.start()
        slow = house.peer("slow")
        await begin(house, slow, "live")
        room = slow.caught_up = asyncio.get_running_loop().create_future()
        gated.gate.set()
        await house.settle()
        read = house.store.get

        async def refusing(_key):
            raise StoreUnavailable("closed")

        house.store.get = refusing
        slow.caught_up = None
        room.set_result(None)
        await house.settle()
        assert slow.kinds("live")[-1] == "progress"
        house.store.get = read
        async with asyncio.timeout(90):
            while slow.kinds("live")[-1] != "complete":
                await asyncio.sleep(0.001)
        assert sum("could not be read" in event for _, event, _ in house.logger.lines) == 1
