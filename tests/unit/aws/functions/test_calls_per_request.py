"""What a request costs in calls of DynamoDB, SQS and API Gateway: each of them is paid for."""

from __future__ import annotations

from collections import Counter

import pytest
import structlog

from streamer.client import StreamerClient
from streamer.core.clock import SystemClock
from streamer_aws import Sandbox
from streamer_aws.emulator.emulator import Plan, open_emulator
from streamer_aws.emulator.limits import Limits
from streamer_aws.emulator.socket import Socket

SERVICE = """\
version: 1
auth: {use: none, allow_anyone: true}
backends:
  store: {use: dynamodb, prefix: calls-, region: eu-central-1}
  connections: {use: apigateway, prefix: calls-, region: eu-central-1, progress_interval: 1ms}
worker: {progress_interval: 1ms}
logs: {level: error}
actions:
  echo: {handler: echo}
  later: {handler: echo, mode: async}
  steps: {handler: delay, with: {delay: 500ms}, mode: async}
"""

QUEUED = {"PutItem": 2, "GetItem": 2, "Query": 1, "UpdateItem": 5}
"""Who asks, and how the request stands once it is followed; the request and its subscriber; who follows it; its claim,
its end, the claim of telling it, that it was sent, and to which connection."""
CONFIRMED = 2
"""With the connection's next message: that it was delivered, and that nothing is left to confirm."""
REPORTS = 10
"""Of the handler; the last is written down with the end."""


@pytest.fixture
async def emulator(ministack, tmp_path, monkeypatch):
    config = tmp_path / "streamer.yaml"
    config.write_text(SERVICE)
    place = {"prefix": "calls-", "region": "eu-central-1"}
    plan = Plan(
        config=config,
        store=place,
        connections=place,
        endpoint_url=ministack,
        region="eu-central-1",
        handlers=lambda environ: Sandbox(config, environ),
        # The sweep that ships comes after a minute: what this counts has ended by then, and nothing is left for ever.
        limits=Limits(queue_wait=1),
    )
    async with open_emulator(plan, clock=SystemClock(), logger=structlog.get_logger()) as opened:
        for name, value in opened.environ.items():
            monkeypatch.setenv(name, value)
        yield opened


async def counted(emulator, monkeypatch, *requests):
    """The calls of DynamoDB, and the messages posted, that these requests cost on a connection that stands."""
    posts = Counter()
    send = Socket.send

    def noted(socket, data):
        posts["posts"] += 1
        send(socket, data)

    async with StreamerClient(emulator.url) as client:
        # Sandboxes have begun, and their clients are open.
        for action in ("echo", "later"):
            await client.request(action, 1)
        await settled(emulator)
        # It confirms the outcome before it.
        await client.request("echo", 1)
        await settled(emulator)
        monkeypatch.setattr(Socket, "send", noted)
        before = Counter(emulator.proxy.calls)
        for action in requests:
            await client.request(action, 1)
            await settled(emulator)
        after = Counter(emulator.proxy.calls)
    return dict(after - before), posts["posts"]


async def settled(emulator):
    """No function runs any more."""
    while any(function._inside for function in emulator.functions.values()):
        await SystemClock.sleep(0.01)


async def test_a_direct_answer_costs_one_read_and_one_post(emulator, monkeypatch):
    assert await counted(emulator, monkeypatch, "echo") == ({"GetItem": 1}, 1)


async def test_a_queued_request_costs_so_many_calls(emulator, monkeypatch):
    assert await counted(emulator, monkeypatch, "later") == (QUEUED, 2)


async def test_the_next_message_confirms_the_outcome_for_two_calls_more(emulator, monkeypatch):
    direct = {"GetItem": 1}
    both = Counter(QUEUED) + Counter(direct) + Counter({"UpdateItem": CONFIRMED})
    assert await counted(emulator, monkeypatch, "later", "echo") == (dict(both), 3)


async def test_reports_cost_a_read_of_the_followers_a_post_and_a_write_each_at_the_most(emulator, monkeypatch):
    calls, posts = await counted(emulator, monkeypatch, "steps")
    # On a machine that is busy a newer report takes the place of an older one.
    reports = posts - 2
    assert 0 < reports <= REPORTS
    # The last is written down with the end.
    assert calls.pop("UpdateItem") <= QUEUED["UpdateItem"] + reports - 1
    assert calls == {**{name: QUEUED[name] for name in ("PutItem", "GetItem")}, "Query": 1 + reports}
