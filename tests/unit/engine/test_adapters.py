"""Records and requests: the same thing in two words."""

from __future__ import annotations

import pytest

from streamer.core.errors import Error, LeaseLost
from streamer.core.messages import Request, Result
from streamer.core.records import RequestRecord, first_seq
from streamer.engine.adapters import RequestQueueAdapter, convert_async_request_to_request
from streamer.queue.common import existing
from streamer.stores.memory import MemoryStore
from streamer.testing import ManualClock

KEY = ("o", "r")


def record(payload, action="a"):
    return RequestRecord(owner="o", id="r", action=action, payload=payload, created_at=0, updated_at=0, due_at=0)


@pytest.mark.parametrize(
    ("stored", "sent", "same"),
    [
        (b'{"a":1,"b":2}', b'{"b": 2, "a": 1}', True),
        (b'{"a":[{"x":1,"y":2}]}', b'{"a": [{"y": 2, "x": 1}]}', True),
        (b"[1,2]", b"[2,1]", False),
        (b'{"n":1}', b'{"n":true}', False),
        (b'{"n":0}', b'{"n":false}', False),
        (b'"1"', b"1", False),
        (b"null", b"null", True),
        (b"9" * 300, b" " + b"9" * 300, True),
    ],
)
def test_a_request_is_the_same_when_its_payload_is_the_same_json(stored, sent, same):
    assert existing(record(stored), record(sent)).same is same


def test_another_action_is_another_request():
    assert not existing(record(b"null"), record(b"null", "b")).same


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def queue(clock):
    return MemoryStore(clock)


@pytest.fixture
async def adapter(queue, clock):
    adapter = RequestQueueAdapter(queue)
    await adapter.enqueue(Request(id="r", action="a", owner="o", created_at=clock.now()))
    return adapter


async def test_numbers_rise_with_the_claim_whatever_was_written_down_before(adapter, queue, clock):
    await queue.claim("w1", 1, 30)
    await adapter.update_progress("r", 50)
    assert (await queue.get(KEY)).seq == first_seq(1) + 1
    await clock.advance(31)
    await queue.claim("w2", 1, 30)
    await adapter.update_progress("r", 20)
    assert (await queue.get(KEY)).seq == first_seq(2) + 1
    await adapter.complete_request("r", Result(data=1))
    assert (await queue.get(KEY)).seq == first_seq(2) + 2


async def test_what_is_not_running_cannot_be_written_to(adapter):
    for write in (
        adapter.update_progress("r", 50),
        adapter.complete_request("r", Result(data=1)),
        adapter.fail_request("r", Error("X", "x")),
    ):
        with pytest.raises(LeaseLost):
            await write


async def test_a_failure_is_written_down_whatever_it_holds(adapter, queue):
    await queue.claim("w", 1, 30)
    await adapter.fail_request("r", Error("ODD", "\udcff", {"thing": object()}))
    failed = await queue.get(KEY)
    assert (failed.status, failed.error.message, failed.error.details) == ("FAILED", "?", {})


def test_a_record_that_nobody_has_run_yet_is_a_first_attempt():
    request = convert_async_request_to_request(record(b'{"n":1}'))
    assert (request.payload, request.attempt, request.owner) == ({"n": 1}, 1, "o")


async def test_a_failure_that_is_no_error_of_ours_is_an_internal_one(adapter, queue):
    await queue.claim("w", 1, 30)
    await adapter.fail_request("r", ValueError("no good"), owner="o")
    failed = await queue.get(KEY)
    assert (failed.error.code, failed.error.message) == ("INTERNAL_ERROR", "no good")


async def test_a_request_is_found_by_its_id_unless_two_owners_have_one(adapter, clock):
    assert (await adapter.get_async_request("r")).owner == "o"
    await adapter.enqueue(Request(id="r", action="a", owner="other", created_at=clock.now()))
    assert (await adapter.get_async_request("r", owner="other")).owner == "other"
    for asked, words in ((("r",), "2 owners"), (("never",), "not found"), (("r", "third"), "not found")):
        with pytest.raises(Error, match=words) as caught:
            await adapter.get_async_request(*asked)
        assert caught.value.code == "NOT_FOUND"
