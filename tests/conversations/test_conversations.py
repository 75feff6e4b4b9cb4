"""The same conversations in every home of one service, held by every client: the same messages come out.

A home is where the service lives; of its file only `backends` differs. A client is one of this project's two, or one
that sends and receives text and nothing else. Times and the ids that the service makes are left out of what is
compared, and of `seq` only that it rises. Nothing else may differ between homes but this:

============================  ==========================================  ==========================================
what                          one process (`sqlite`, `memory`), and two   AWS (`aws`, `aws-processes`)
                              gateways of one store (`two-gateways`)
============================  ==========================================  ==========================================
a message over 128 KB         comes whole                                 comes in parts that clients join
answers to requests that      come in the order of the requests, where    come in any order
wait at the same time         they take no time
a frame over 32 KB            is taken, as part of a message of up to     closes with 1009: clients make shorter ones,
                              128 KB                                      but JavaScript's WebSocket gives no choice
the code of the close frame   of the service's own: 3500 when a token     API Gateway's alone: the gateway closes by
                              runs out, 3001 at its end                   itself, and a service can only hang up
the refusal of a handshake    says why, in text                           is API Gateway's JSON, with the same status
a next attempt                begins when it is due                       when it is due, in the queue's whole seconds
a limit of a rate             counts what the service is asked            counts what one sandbox is asked
the newest report, as resume  is the last that was made                   may be older: another process runs the
and status tell it                                                        request, and writes down one a second, and
                                                                          none in the first
an outcome that was sent      is delivered by the pong to a ping after    is delivered by the connection's next
                              it                                          message
reports to a connection that  begin with the next one after its           begin some moments after its
sent the same id              acknowledgment                              acknowledgment; the outcome always comes
============================  ==========================================  ==========================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dialogue.barriers import Gates
from dialogue.deployments import Home
from dialogue.messages import acknowledgment, complete, echo, error, progress, response, step

pytestmark = pytest.mark.asyncio(loop_scope="module")
plain = pytest.mark.clients("websockets", "ws")
"""What this project's clients would not say."""

STEPS = {"steps": 3, "note": None}
"""What comes of `steps`."""


Open = Callable[..., Any]


# Direct answers


async def test_a_quick_request_is_answered_directly(open_client: Open) -> None:
    client = await open_client()
    await client.ask("echo", {"a": [1, None, "ü"]}, id="r1")
    assert await client.heard("r1") == [response("r1", echo({"a": [1, None, "ü"]}))]
    await client.nothing_more("r1")


async def test_every_violation_is_named_with_its_place(open_client: Open) -> None:
    client = await open_client()
    await client.ask("order", {"amount": 0, "to": {"email": 3}, "colour": "red"}, id="r1")
    violations = [
        {"path": "/amount", "message": "0 is less than the minimum of 1"},
        {"path": "/to/email", "message": '3 is not of type "string"'},
        {"path": "", "message": "Additional properties are not allowed ('colour' was unexpected)"},
    ]
    message = "Invalid payload: /amount: 0 is less than the minimum of 1 (and 2 more)"
    assert await client.heard("r1") == [error("r1", "VALIDATION_ERROR", message, errors=violations)]


async def test_a_payload_as_the_schema_wants_it_passes(open_client: Open) -> None:
    client = await open_client()
    payload = {"amount": 1, "to": {"email": "a@example.com"}}
    await client.ask("order", payload, id="r1")
    assert await client.heard("r1") == [response("r1", echo(payload, "order"))]


async def test_whoever_misspells_an_action_is_told_what_may_be_meant(open_client: Open) -> None:
    client = await open_client()
    await client.ask("ehco", id="r1")
    assert await client.heard("r1") == [
        error("r1", "INVALID_ACTION", "Unknown action: ehco", did_you_mean=["echo"]),
    ]


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ("unexpectedly", ("INTERNAL_ERROR", "The request could not be completed", {})),
        (None, ("OUT_OF_PAPER", "The tray is empty", {"tray": 2})),
    ],
    ids=["unexpectedly", "knowingly"],
)
async def test_a_failure_is_told_and_the_house_keeps_its_secrets(open_client: Open, payload: Any, told: Any) -> None:
    client = await open_client()
    code, message, details = told
    await client.ask("fail", payload, id="direct")
    await client.ask("fail_later", payload, id="queued")
    assert await client.heard("direct") == [error("direct", code, message, **details)]
    assert await client.heard("queued") == [acknowledgment("queued"), error("queued", code, message, **details)]
    await client.nothing_more("queued")


async def test_a_handler_may_give_what_it_has_beside_its_error(open_client: Open) -> None:
    client = await open_client()
    failure = {"code": "HALF_DONE", "message": "The rest is missing", "retryable": False, "details": {"rest": 2}}
    half = {"success": False, "error": failure, "metadata": {"source": "talk"}}
    await client.ask("half", id="direct")
    await client.ask("half", id="queued", wait=0)
    assert await client.heard("direct") == [{**response("direct", {"done": 3}), **half}]
    assert await client.heard("queued") == [acknowledgment("queued"), {**complete("queued", {"done": 3}), **half}]


async def test_what_takes_too_long_is_stopped(open_client: Open) -> None:
    client = await open_client()
    await client.ask("limited", id="direct")
    await client.ask("limited", id="queued", wait=0)
    (direct,) = await client.heard("direct")
    *_, queued = await client.heard("queued")
    assert direct["error"] == queued["error"]
    assert (direct["type"], direct["error"]["code"]) == ("error", "TIMEOUT")


async def test_a_client_says_how_long_it_will_wait(open_client: Open, gates: Gates) -> None:
    client = await open_client()
    await client.ask("who", id="queued", wait=0)
    assert await client.heard("queued") == [
        acknowledgment("queued"),
        complete("queued", {"user": None, "queued": True}),
    ]
    gates.open(1, 2, 3)
    await client.ask("steps", gates.payload, id="direct", wait="3s")
    assert await client.heard("direct") == [response("direct", STEPS)]


@pytest.mark.parametrize("queued", [False, True], ids=["direct", "queued"])
async def test_a_result_that_no_single_message_of_aws_holds_arrives_whole(
    open_client: Open, queued: bool, home: Home
) -> None:
    client = await open_client()
    await client.ask("large", 150_000, id="r1", wait=0 if queued else None)
    heard = await client.heard("r1")
    text = (heard[-1]["result"] if queued else heard[-1]["data"])["text"]
    assert (len(text), len(text.encode()), text[:8]) == (150_000, 375_000, "a€ß😀" * 2)
    assert [message["type"] for message in heard] == (["acknowledgment", "complete"] if queued else ["response"])
    assert (client.connection.parts > 1) == home.is_aws


# Queued requests


async def test_a_queued_request_is_acknowledged_then_reports_then_ends_once(open_client: Open, gates: Gates) -> None:
    client = await open_client()
    await client.ask("steps", gates.payload, id="r1", metadata={"note": "of mine"})
    await gates.walk(client)
    assert await client.heard("r1") == [
        acknowledgment("r1"),
        step("r1", 1),
        step("r1", 2),
        step("r1", 3),
        complete("r1", {"steps": 3, "note": "of mine"}),
    ]
    assert client.about("r1")[0]["seq"] == 0
    await client.nothing_more("r1")


async def test_what_failed_for_now_is_tried_again_in_silence(open_client: Open) -> None:
    client = await open_client()
    await client.ask("second_try", id="r1")
    assert await client.heard("r1") == [
        acknowledgment("r1"),
        progress("r1", 50, "Attempt 1"),
        progress("r1", 100, "Attempt 2"),
        complete("r1", {"attempt": 2}),
    ]


async def test_the_same_id_again_is_the_same_request(open_client: Open, gates: Gates, owner: str, home: Home) -> None:
    first, again = await open_client(owner), await open_client(owner)
    await first.ask("steps", gates.payload, id="r1")
    await first.said("r1", "progress", percentage=25)
    await again.ask("steps", gates.payload, id="r1")
    await again.said("r1", "acknowledgment")
    gates.open(1)
    await gates.walk(first, *([] if home.is_aws else [again]), first=2)
    rest = [step("r1", 2), step("r1", 3), complete("r1", STEPS)]
    assert await first.heard("r1") == [acknowledgment("r1"), step("r1", 1), *rest]
    acknowledged, *heard = await again.heard("r1")
    assert acknowledged == acknowledgment("r1")
    assert heard == (rest[-len(heard) :] if home.is_aws else rest)
    assert heard[-1] == complete("r1", STEPS)

    late = await open_client(owner)
    await late.ask("steps", gates.payload, id="r1")
    assert await late.heard("r1") == [acknowledgment("r1"), complete("r1", STEPS)]
    assert (await late.call("streamer.status", {"request_id": "r1"}))["attempt"] == 1
    assert first.ends("r1") == again.ends("r1") == late.ends("r1") == 1


async def test_the_same_id_for_something_else_is_a_conflict(open_client: Open, gates: Gates, owner: str) -> None:
    first, other = await open_client(owner), await open_client(owner)
    await first.ask("steps", gates.payload, id="r1")
    await first.said("r1", "progress")
    conflict = error("r1", "CONFLICT", "The id 'r1' belongs to another request of yours", action="steps")
    await other.ask("steps", {"gates": "elsewhere"}, id="r1")
    assert await other.heard("r1") == [conflict]
    await gates.walk(first)
    assert (await first.heard("r1"))[-1] == complete("r1", STEPS)
    await other.nothing_more("r1")


async def test_two_connections_follow_one_request_and_each_hears_its_end_once(
    open_client: Open, gates: Gates, owner: str, home: Home
) -> None:
    first, second = await open_client(owner), await open_client(owner)
    await first.ask("steps", gates.payload, id="r1")
    await first.said("r1", "progress", percentage=25)
    await second.resume("r1")
    gates.open(1)
    await gates.walk(first, second, first=2)
    rest = [step("r1", 2), step("r1", 3), complete("r1", STEPS)]
    assert await first.heard("r1") == [acknowledgment("r1"), step("r1", 1), *rest]
    newest, *later = await second.heard("r1")
    assert newest in home.told_anew(step("r1", 1))
    assert later == rest
    for client in (first, second):
        await client.nothing_more("r1")
        assert client.ends("r1") == 1


async def test_the_next_connection_goes_on_where_the_last_was_cut(
    open_client: Open, gates: Gates, owner: str, home: Home
) -> None:
    client = await open_client(owner)
    await client.ask("steps", gates.payload, id="r1")
    await client.said("r1", "progress", percentage=25)
    client.relay.cut()
    await client.survive("r1")
    await gates.walk(client)
    assert await client.heard("r1") == [
        acknowledgment("r1"),
        step("r1", 1),
        step("r1", 2),
        step("r1", 3),
        complete("r1", STEPS),
    ]
    await client.nothing_more("r1")
    assert client.ends("r1") == 1
    assert len(client.relay.connections) == 2
    # Where there are two gateways, the second one goes on with what the first has begun.
    assert len({connection.target for connection in client.relay.connections}) == len(home.urls)


async def test_what_ended_while_nobody_was_there_is_told_to_the_next_connection(
    open_client: Open, gates: Gates, owner: str
) -> None:
    client, witness = await open_client(owner), await open_client(owner)
    await client.ask("steps", gates.payload, id="r1")
    await client.said("r1", "progress", percentage=25)
    client.relay.break_down()
    gates.open(1, 2, 3)
    await witness.status_becomes("r1", "COMPLETED")
    client.relay.restore()
    await client.survive("r1")
    assert await client.heard("r1") == [acknowledgment("r1"), step("r1", 1), complete("r1", STEPS)]
    await client.nothing_more("r1")
    assert client.ends("r1") == 1


async def test_a_running_request_is_cancelled_once(open_client: Open) -> None:
    client = await open_client()
    await client.ask("forever", id="r1")
    await client.said("r1", "progress")
    await client.cancel("r1")
    assert await client.heard("r1") == [
        acknowledgment("r1"),
        progress("r1", 1, "Begun"),
        error("r1", "CANCELLED", "The owner cancelled the request"),
    ]
    assert await client.call("streamer.cancel", {"request_id": "r1"}) == {
        "code": "CONFLICT",
        "message": "Request 'r1' has already ended",
        "retryable": False,
        "details": {"status": "CANCELLED"},
    }
    await client.nothing_more("r1")


async def test_what_is_worth_nothing_without_a_listener_ends_with_the_last_one(open_client: Open, owner: str) -> None:
    client, witness = await open_client(owner), await open_client(owner)
    await client.ask("watched", id="r1")
    await client.said("r1", "progress")
    await client.close()
    await witness.status_becomes("r1", "CANCELLED")
    assert witness.about("r1") == []


# The service's own actions


async def test_a_ping_is_answered_with_the_time(open_client: Open) -> None:
    client = await open_client()
    assert await client.call("streamer.ping") == {"pong": True, "time": "<time>"}


async def test_the_service_says_what_may_be_asked_for(open_client: Open) -> None:
    client = await open_client()
    actions = (await client.call("streamer.actions"))["actions"]
    assert {action["action"]: action["queued"] for action in actions} == {
        "echo": False,
        "order": False,
        "steps": True,
        "fail": False,
        "fail_later": True,
        "second_try": True,
        "forever": True,
        "watched": True,
        "limited": False,
        "half": False,
        "large": False,
        "who": False,
    }
    (order,) = [action for action in actions if action["action"] == "order"]
    assert order["schema"]["required"] == ["amount", "to"]
    assert (order["description"], order["estimated_duration"]) == ("An order of something", 0.01)


async def test_its_owner_is_told_where_a_request_is(open_client: Open, gates: Gates, owner: str, home: Home) -> None:
    client = await open_client(owner)
    await client.ask("steps", gates.payload, id="r1")
    await client.said("r1", "progress", percentage=25)
    running = {
        "request_id": "r1",
        "action": "steps",
        "status": "PROCESSING",
        "attempt": 1,
        "max_attempts": 3,
        "created_at": "<time>",
        "updated_at": "<time>",
        "started_at": "<time>",
    }
    told = _unnumbered(await client.call("streamer.status", {"request_id": "r1"}))
    known = [(report["percentage"], report["message"]) for report in home.told_anew(step("r1", 1))]
    assert (told.pop("percentage"), told.pop("message")) in known
    assert told == running
    await gates.walk(client)
    await client.heard("r1")
    ended = {**running, "status": "COMPLETED", "percentage": 100, "finished_at": "<time>"}
    listed = await client.call("streamer.list")
    told = _unnumbered(await client.call("streamer.status", {"request_id": "r1"}))
    # The last report of what took more than a second is kept.
    assert told.pop("message") in ("", "Step 3 of 3")
    assert told == {**ended, "success": True, "result": STEPS}
    (one,) = listed["requests"]
    assert {**_unnumbered(one), "message": "any"} == {**ended, "message": "any"}
    assert listed["cursor"] is None


async def test_requests_are_listed_a_page_at_a_time_newest_first(open_client: Open, owner: str) -> None:
    client = await open_client(owner)
    for number in range(3):
        await client.ask("who", id=f"r{number}", wait=0)
        await client.heard(f"r{number}")
    first = await client.call("streamer.list", {"limit": 2})
    rest = await client.call("streamer.list", {"limit": 2, "cursor": first["cursor"]})
    assert [one["request_id"] for one in first["requests"] + rest["requests"]] == ["r2", "r1", "r0"]
    assert rest["cursor"] is None
    failed = await client.call("streamer.list", {"status": "FAILED"})
    assert failed == {"requests": [], "cursor": None}


@plain
async def test_all_that_is_not_settled_is_resumed_at_once(
    open_client: Open, gates: Gates, owner: str, home: Home
) -> None:
    client, witness = await open_client(owner), await open_client(owner)
    await client.ask("steps", gates.payload, id="r1")
    # Messages of one connection have no order on AWS, unless the client waits for one of them.
    await client.said("r1", "acknowledgment")
    await client.ask("forever", id="r2")
    await client.said("r1", "progress", percentage=25)
    await client.said("r2", "progress")
    client.relay.break_down()
    gates.open(1, 2, 3)
    await witness.status_becomes("r1", "COMPLETED")
    assert await witness.call("streamer.resume") == {"requests": ["r1", "r2"]}
    assert await witness.heard("r1") == [complete("r1", STEPS)]
    await witness.cancel("r2")
    newest, cancelled = await witness.heard("r2")
    assert newest in home.told_anew(progress("r2", 1, "Begun"))
    assert cancelled == error("r2", "CANCELLED", "The owner cancelled the request")
    assert witness.ends("r1") == witness.ends("r2") == 1


async def test_what_belongs_to_another_is_not_found(open_client: Open, owner: str) -> None:
    client, stranger = await open_client(owner), await open_client(owner[::-1])
    await client.ask("forever", id="r1")
    await client.said("r1", "progress")
    for action in ("status", "resume", "cancel"):
        refused = await stranger.call(f"streamer.{action}", {"request_id": "r1"})
        assert (refused["code"], refused["details"]) == ("NOT_FOUND", {"request_id": "r1"})
    assert await stranger.call("streamer.list") == {"requests": [], "cursor": None}
    assert (await client.call("streamer.status", {"request_id": "r1"}))["status"] == "PROCESSING"
    await client.cancel("r1")
    await client.heard("r1")
    assert stranger.about("r1") == []


def _unnumbered(told: Any) -> Any:
    """Without `seq`: progress is numbered when it is told, and kept a little later."""
    return {name: value for name, value in told.items() if name != "seq"}
