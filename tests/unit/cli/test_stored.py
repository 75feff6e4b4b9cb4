"""Records as an operator finds and reads them."""

from __future__ import annotations

import json

import click
import pytest

from streamer.cli.stored import find_one, newest, summary, whole
from streamer.core.attempts import Attempt, Cause, Outcome
from streamer.core.messages import ErrorBody
from streamer.core.principal import Principal
from streamer.core.records import RequestRecord, Status
from streamer.stores.memory import MemoryStore


def record(owner="client:ann", request_id="r1", created_at=1_767_268_800.0, **more):
    return RequestRecord(
        owner=owner,
        id=request_id,
        action=more.pop("action", "report"),
        created_at=created_at,
        due_at=created_at,
        updated_at=created_at,
        **more,
    )


async def store_of(*records):
    store = MemoryStore()
    for each in records:
        await store.enqueue(each)
    return store


async def test_a_request_is_found_by_its_id_alone():
    store = await store_of(record(), record(request_id="r2"))
    assert (await find_one(store, "r1", None)).key == ("client:ann", "r1")


async def test_an_unknown_request_is_named_and_so_is_the_owner_that_was_asked_for():
    store = await store_of(record())
    with pytest.raises(click.ClickException, match="no request 'r9' in this store"):
        await find_one(store, "r9", None)
    with pytest.raises(click.ClickException, match="no request 'r1' of the owner 'client:bob' in this store"):
        await find_one(store, "r1", "client:bob")


async def test_an_id_of_several_owners_asks_for_one_and_names_them():
    store = await store_of(record(), record(owner="client:bob"))
    with pytest.raises(click.UsageError, match="choose one with --owner: client:ann, client:bob"):
        await find_one(store, "r1", None)
    assert (await find_one(store, "r1", "client:bob")).owner == "client:bob"


async def test_a_listing_goes_over_as_many_pages_as_its_limit_takes():
    store = await store_of(*(record(request_id=f"r{number}", created_at=float(number)) for number in range(450)))
    assert [each.id for each in await newest(store, 430)] == [f"r{number}" for number in range(449, 19, -1)]
    assert len(await newest(store, 1000)) == 450
    assert len(await newest(store, 3)) == 3


async def test_a_listing_is_filtered_by_the_store():
    store = await store_of(record(), record(request_id="r2", action="other"))
    assert [each.id for each in await newest(store, 10, action="other")] == ["r2"]
    assert await newest(store, 10, status=Status.FAILED) == []


def test_a_summary_holds_no_payload():
    told = summary(record(payload=b'{"secret": 1}'))
    assert told == {
        "id": "r1",
        "owner": "client:ann",
        "action": "report",
        "status": "PENDING",
        "attempts": 0,
        "max_attempts": 3,
        "percentage": 0.0,
        "message": "",
        "error": None,
        "created_at": "2026-01-01T12:00:00.000Z",
        "updated_at": "2026-01-01T12:00:00.000Z",
        "finished_at": None,
        "delivered_at": None,
    }


def test_the_whole_record_holds_payload_result_and_times():
    told = whole(
        record(
            payload=b'{"a": 1}',
            result=b'{"success": true, "result": [1]}',
            progress_metadata=b'{"rows": 5}',
            finished_at=1_767_268_801.5,
            metadata={"k": "v"},
        )
    )
    assert told["payload"] == {"a": 1}
    assert told["result"] == {"success": True, "result": [1]}
    assert told["progress_metadata"] == {"rows": 5}
    assert told["finished_at"] == "2026-01-01T12:00:01.500Z"
    assert (told["started_at"], told["due_at"]) == (None, "2026-01-01T12:00:00.000Z")
    assert told["metadata"] == {"k": "v"}


def test_the_whole_record_tells_who_asked_and_how_each_attempt_ended():
    principal = Principal(
        user_id="u", tenant_id="t", permissions=frozenset({"b", "a"}), expires_at=1_767_268_900.0, claims={"n": 1}
    )
    failed = Attempt(
        fence=1,
        worker="w1",
        started_at=1_767_268_801.0,
        ended_at=1_767_268_802.0,
        outcome=Outcome.FAILED,
        error=ErrorBody("BUSY", "later", retryable=True),
        cause=Cause(type="OSError", text="busy", traceback="Traceback\n  one line"),
    )
    lost = Attempt(fence=2, worker="w2", started_at=1.0, ended_at=2.0, outcome=Outcome.LOST)
    told = whole(record(principal=principal, history=(failed, lost), expires_at=1_767_268_860.0))
    assert told["principal"] == {
        "user_id": "u",
        "tenant_id": "t",
        "permissions": ["a", "b"],
        "expires_at": "2026-01-01T12:01:40.000Z",
        "claims": {"n": 1},
    }
    assert told["history"][0] == {
        "fence": 1,
        "worker": "w1",
        "started_at": "2026-01-01T12:00:01.000Z",
        "ended_at": "2026-01-01T12:00:02.000Z",
        "outcome": "failed",
        "error": {"code": "BUSY", "message": "later", "retryable": True, "details": {}},
        "cause": {"type": "OSError", "text": "busy", "traceback": ["Traceback", "  one line"]},
    }
    assert (told["history"][1]["outcome"], told["history"][1]["error"]) == ("lost", None)
    assert told["expires_at"] == "2026-01-01T12:01:00.000Z"
    json.dumps(told)


def test_every_field_of_a_record_is_shown():
    import msgspec

    assert set(whole(record())) == {field.name for field in msgspec.structs.fields(RequestRecord)}
