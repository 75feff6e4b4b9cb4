"""The HTTP API for operators, over real sockets."""

import asyncio
import dataclasses
import json

import pytest
import websockets

from streamer.config.settings import AdminSettings
from streamer.core.errors import StoreUnavailable
from streamer.stores.memory import MemoryStore

TOKEN = "t" * 40
V1 = "/admin/v1"
WRITE = {"headers": {"Authorization": "Bearer any"}}


def changing(body=None):
    """Options of a request that may change something."""
    return WRITE if body is None else {**WRITE, "json": body}


@pytest.fixture
async def started(admin):
    """The same, with a request that runs, one that has ended, and an open connection."""
    async with websockets.connect(f"{admin.service}?client_id=ada") as client:
        await client.send('{"action":"nap","payload":{"a":[1,2]},"id":"runs"}')
        await client.send('{"action":"report","payload":9007199254740993,"id":"ended"}')
        seen = []
        while len(seen) < 3:
            seen.append(json.loads(await client.recv()))
        await admin.samples_until(lambda samples: samples['streamer_running{action="nap"}'] == 1)
        yield admin


async def test_health_says_what_each_check_found(started):
    health = await started.json(f"{V1}/health")
    assert health["status"] == "ok"
    assert health["checks"].keys() == {"store", "worker"}
    assert health["checks"]["store"]["ok"] is True
    assert health["problems"] == []
    assert health["seconds_since_the_loop_turned"] < 5


async def test_requests_are_listed_by_pages_and_filters(started):
    first = await started.json(f"{V1}/requests?limit=1")
    (one,) = first["requests"]
    assert one["id"] == "ended"
    second = await started.json(f"{V1}/requests", params={"limit": "1", "cursor": first["cursor"]})
    assert [one["id"] for one in second["requests"]] == ["runs"]
    assert (await started.json(f"{V1}/requests?action=nap&status=processing"))["requests"][0]["id"] == "runs"
    owner = second["requests"][0]["owner"]
    assert len((await started.json(f"{V1}/requests", params={"owner": owner}))["requests"]) == 2
    assert (await started.json(f"{V1}/requests?owner=nobody"))["requests"] == []


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "limit=%C2%B2", "status=lost", "stauts=FAILED", "cursor=made-up"]
)
async def test_a_query_that_means_nothing_is_refused(started, query):
    status, text = await started.ask(f"{V1}/requests?{query}")
    assert status == 400
    assert json.loads(text)["error"]


async def test_one_request_is_shown_without_what_a_client_sent_unless_that_is_asked_for(started):
    shown = await started.json(f"{V1}/requests/ended")
    assert shown["status"] == "COMPLETED"
    assert "payload" not in shown
    assert "result" not in shown
    assert shown["payload_bytes"] == 16
    status, text = await started.ask(f"{V1}/requests/ended?include=payload,result")
    assert status == 200
    # As the client wrote it, although a page's numbers end at 2**53.
    assert '"payload":9007199254740993' in text
    assert json.loads(text)["result"]["success"] is True
    assert (await started.ask(f"{V1}/requests/ended?include=secrets"))[0] == 400
    assert (await started.ask(f"{V1}/requests/nothing"))[0] == 404
    assert (await started.ask(f"{V1}/requests/ended?owner=nobody"))[0] == 404


async def test_a_large_payload_is_left_out_and_its_size_is_given(admin):
    await admin.call({"action": "nap", "payload": "x" * 70_000, "id": "large"})
    shown = await admin.json(f"{V1}/requests/large?include=payload")
    assert "payload" not in shown
    assert shown["payload_bytes"] == 70_002


async def test_an_id_of_several_owners_needs_one(admin):
    for name in ("ada", "bob"):
        async with websockets.connect(f"{admin.service}?client_id={name}") as client:
            await client.send('{"action":"nap","payload":1,"id":"same/one"}')
            await client.recv()
    status, text = await admin.ask(f"{V1}/requests/same%2Fone")
    assert status == 409
    owners = json.loads(text)["owners"]
    assert len(owners) == 2
    shown = await admin.json(f"{V1}/requests/same%2Fone", params={"owner": owners[0]})
    assert shown["owner"] == owners[0]


async def test_a_running_request_is_cancelled_and_retried(started):
    cancelled = await started.json(f"{V1}/requests/runs/cancel", "POST", **changing({"message": "Wrong month"}))
    assert (cancelled["status"], cancelled["error"]["message"]) == ("CANCELLED", "Wrong month")
    await started.samples_until(lambda samples: samples['streamer_running{action="nap"}'] == 0)
    again, text = await started.ask(f"{V1}/requests/runs/cancel", "POST", **changing())
    assert (again, "error" in json.loads(text)) == (409, True)
    retried = await started.json(f"{V1}/requests/runs/retry", "POST", **changing())
    assert retried["status"] == "PENDING"
    await started.samples_until(lambda samples: samples['streamer_running{action="nap"}'] == 1)
    assert (await started.ask(f"{V1}/requests/ended/retry", "POST", **changing()))[0] == 409
    assert (await started.ask(f"{V1}/requests/nothing/retry", "POST", **changing()))[0] == 404
    assert started.logger.fields("an operator cancelled a request")["request_id"] == "runs"
    assert started.logger.fields("an operator queued a request again")["request_id"] == "runs"


@pytest.mark.parametrize(
    ("headers", "status"),
    [({}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-origin"}, 200),
     ({"Authorization": "Bearer any"}, 200)],
)  # fmt: skip
async def test_a_change_must_not_come_from_another_page(started, headers, status):
    assert (await started.ask(f"{V1}/requests/runs/cancel", "POST", headers=headers))[0] == status


@pytest.mark.parametrize(
    "body", ["[]", "{", '{"reason":"x"}', '{"message":7}', json.dumps({"message": "x" * 1001}), "[" * 50_000]
)
async def test_a_body_that_means_nothing_is_refused(started, body):
    headers = {**WRITE["headers"], "Content-Type": "application/json"}
    status, text = await started.ask(f"{V1}/requests/runs/cancel", "POST", headers=headers, data=body)
    assert (status, "error" in json.loads(text)) == (400, True)


async def test_a_body_that_is_too_large_is_refused(started):
    headers = {**WRITE["headers"], "Content-Type": "application/json"}
    status, _ = await started.ask(f"{V1}/requests/runs/cancel", "POST", headers=headers, data="x" * 100_000)
    assert status == 413
    assert (await started.ask(f"{V1}/requests/runs/cancel", "POST", headers=WRITE["headers"], data="x"))[0] == 415


async def test_connections_are_listed_by_pages_and_closed(admin):
    async with (
        websockets.connect(f"{admin.service}?client_id=ada") as first,
        websockets.connect(f"{admin.service}?client_id=bob") as second,
    ):
        page = await admin.json(f"{V1}/connections?limit=1")
        assert page["total"] == 2
        (one,) = page["connections"]
        assert one["owner"].startswith("client:")
        rest = await admin.json(f"{V1}/connections", params={"cursor": page["cursor"]})
        assert len(rest["connections"]) == 1
        assert rest["cursor"] is None
        path = f"{V1}/connections/{one['id']}/disconnect"
        answer = await admin.json(path, "POST", **changing({"reason": "maintenance"}))
        assert answer == {"id": one["id"], "disconnected": True}
        with pytest.raises(websockets.ConnectionClosed):
            await first.recv()
        assert (first.close_code, first.close_reason) == (1001, "maintenance")
        assert (await admin.ask(path, "POST", **changing()))[0] == 404
        assert second.close_code is None
        samples = await admin.samples_until(lambda samples: 'streamer_connections_closed_total{code="1001"}' in samples)
        assert samples["streamer_connections"] == 1
    assert (await admin.ask(f"{V1}/connections?cursor=x"))[0] == 400


async def test_actions_and_workers_say_what_they_do(started):
    actions = {one["action"]: one for one in (await started.json(f"{V1}/actions"))["actions"]}
    assert actions.keys() == {"echo", "nap", "report"}
    assert actions["report"]["ended"]["completed"] == 1
    assert actions["report"]["estimated_duration"] == 10
    assert 0 < actions["report"]["measured_duration"] < 10
    assert actions["nap"]["running"] == 1
    assert actions["echo"]["measured_duration"] is None
    (worker,) = (await started.json(f"{V1}/workers"))["workers"]
    assert (worker["slots"], worker["free"], worker["running"], worker["outlived"]) == (64, 63, 1, 0)
    (attempt,) = worker["attempts"]
    assert (attempt["id"], attempt["action"], attempt["attempt"]) == ("runs", "nap", 1)


async def test_the_configuration_is_shown_without_its_secrets(settings, start):
    secret = dataclasses.replace(
        settings,
        admin=AdminSettings(enabled=True, port=0, token=TOKEN),
        secrets=frozenset({TOKEN}),
        secret_places=frozenset({("admin", "token")}),
    )
    async with start(secret) as admin:
        _, text = await admin.ask(f"{V1}/config", headers={"Authorization": f"Bearer {TOKEN}"})
        assert TOKEN not in text
        config = json.loads(text)["config"]
        assert config["admin"]["token"] == "***"
        assert config["actions"]["report"]["estimated_duration"] == "10s"


async def test_a_store_that_does_not_answer_is_told(settings, start):
    class Silent(MemoryStore):
        async def list(self, **_filters):
            raise StoreUnavailable("its table throttles")

    async with start(settings, Silent()) as admin:
        status, text = await admin.ask(f"{V1}/requests")
        assert (status, json.loads(text)) == (503, {"error": "the store did not respond: its table throttles"})


async def test_a_handler_that_fails_is_logged_and_says_nothing_of_it(settings, start):
    class Broken(MemoryStore):
        async def list(self, **_filters):
            raise ZeroDivisionError("a secret of the store")

    async with start(settings, Broken()) as admin:
        status, text = await admin.ask(f"{V1}/requests")
        assert (status, text) == (500, "internal error; the log says more\n")
        assert admin.logger.fields("a request to the admin port failed")["path"] == f"{V1}/requests"


async def test_an_answer_is_bounded(started, monkeypatch):
    monkeypatch.setattr("streamer.admin.answers.MAX_ANSWER", 1000)
    status, text = await started.ask(f"{V1}/config")
    assert status == 507
    assert "1000 are the most" in json.loads(text)["error"]


async def test_a_service_whose_loop_is_busy_is_not_waited_for_long(settings, start, monkeypatch):
    monkeypatch.setattr("streamer.admin.probes.BUSY", 0.05)

    class Slow(MemoryStore):
        async def list(self, **_filters):
            await asyncio.Event().wait()

    async with start(settings, Slow()) as admin:
        assert await admin.ask(f"{V1}/requests") == (503, "the event loop of the service is busy\n")


@pytest.mark.parametrize("port", ["admin", "service"])
async def test_ping_is_what_agentcore_asks_for(admin, port):
    async def ping():
        if port == "admin":
            return await admin.json("/ping")
        host, number = admin.service.removeprefix("ws://").removesuffix("/ws").split(":")
        reader, writer = await asyncio.open_connection(host, int(number))
        writer.write(f"GET /ping HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"application/json" in head
        return json.loads(body)

    idle = await ping()
    assert idle["status"] == "Healthy"
    await admin.call({"action": "nap", "payload": 1})
    await admin.samples_until(lambda samples: samples['streamer_running{action="nap"}'] == 1)
    busy = await ping()
    assert busy["status"] == "HealthyBusy"
    assert busy["time_of_last_update"] >= idle["time_of_last_update"]
    assert await ping() == busy
