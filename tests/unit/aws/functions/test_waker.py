"""Wake-ups, on an emulated queue; and a queue that fails."""

from __future__ import annotations

import itertools
import json

import pytest

from streamer.contracts.stores import Waiting
from streamer_aws.dynamodb.clients import connect
from streamer_aws.functions.waker import Waker

KEY = ("client:one", "r1")
REGION = "eu-central-1"
numbers = itertools.count()


@pytest.fixture
async def sqs(ministack, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", ministack)
    async with connect(REGION, ministack, "sqs") as client:
        yield client


@pytest.fixture
async def url(sqs):
    return (await sqs.create_queue(QueueName=f"wake-{next(numbers)}"))["QueueUrl"]


@pytest.fixture
async def make_waker(house):
    made = []

    def make(url):
        made.append(Waker(url, region=REGION, logger=house.log))
        return made[-1]

    yield make
    for waker in made:
        await waker.close()


async def received(sqs, url):
    found = []
    while messages := (await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)).get("Messages"):
        found += [json.loads(message["Body"]) for message in messages]
    return found


async def test_a_wake_up_names_its_request(sqs, url, make_waker):
    waker = make_waker(url)
    await waker.wake(KEY, "work")
    await waker.look_at_left(KEY, 0.0)
    assert await received(sqs, url) == [
        {"owner": "client:one", "id": "r1", "action": "work"},
        {"owner": "client:one", "id": "r1", "left": True},
    ]


async def test_what_is_due_later_is_held_back_and_what_no_queue_holds_so_long_is_not_sent(sqs, url, make_waker):
    waker = make_waker(url)
    await waker.wake(KEY, "work", 0.2)
    await waker.wake(KEY, "work", 901.0)
    await waker.look_at_left(KEY, 901.0)
    counts = (await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"]))["Attributes"]
    assert counts["ApproximateNumberOfMessagesDelayed"] == "1"
    assert await waker.backlog() == 0


async def test_many_are_sent_in_batches(sqs, url, make_waker):
    waiting = [Waiting(("o", f"r{n}"), "work") for n in range(25)]
    waker = make_waker(url)
    assert await waker.wake_all(waiting) == 25
    assert await waker.backlog() == 25
    assert {body["id"] for body in await received(sqs, url)} == {f"r{n}" for n in range(25)}


async def test_without_a_queue_nobody_is_sent_for(house, make_waker):
    waker = make_waker("")
    await waker.wake(KEY, "work")
    await waker.look_at_left(KEY, 1.0)
    assert house.log.lines == []


async def test_a_queue_that_is_not_there_is_told_in_the_log_and_waits_for_the_sweep(house, url, make_waker):
    waker = make_waker(f"{url}-gone")
    await waker.wake(KEY, "work")
    assert await waker.wake_all([Waiting(KEY, "work")]) == 0
    assert await waker.backlog() > 10**6
    assert house.log.events("warning") == [
        "wake-ups were not sent",
        "wake-ups were not sent",
        "the queue of wake-ups does not respond",
    ]


async def test_wake_ups_that_the_queue_refuses_are_told(house, url, make_waker):
    waker = make_waker(url)

    class Client:
        async def send_message_batch(self, **parameters):
            return {"Failed": [{"Id": "0", "Message": "too large"}]}

    waker._client = Client()
    assert await waker.wake_all([Waiting(KEY, "work"), Waiting(KEY, "work")]) == 1
    assert house.log.lines[-1][2]["error"] == "too large"
