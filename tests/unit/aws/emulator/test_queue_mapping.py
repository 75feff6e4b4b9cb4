"""A real queue of the emulated SQS, and what the mapping leaves in it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

import pytest

from streamer.core.clock import SystemClock
from streamer_aws.emulator.bounded_waits import stop_all
from streamer_aws.emulator.functions import FunctionError, Throttled
from streamer_aws.emulator.limits import Limits
from streamer_aws.emulator.queue_mapping import QueueMapping, failures
from streamer_aws.emulator.resources import client, make_queue

REGION = "eu-central-1"
names = itertools.count()


@pytest.fixture
async def sqs(ministack):
    async with client("sqs", REGION, ministack) as made:
        yield made


@pytest.fixture
async def mapped(sqs, handlers, faults, logger):
    """A queue whose messages go to the test's handlers once it is told to run."""
    tasks = []

    async def start(*, concurrency=5, **limits):
        given = Limits(**{"batch": 10, "visibility": 30, "receives": 2, "queue_wait": 1, **limits})
        queue = await make_queue(f"queue-{next(names)}", sqs, given)
        mapping = QueueMapping(
            sqs,
            url=queue.url,
            arn=queue.arn,
            invoke=handlers.invoke,
            concurrency=concurrency,
            limits=given,
            region=REGION,
            faults=faults,
            clock=SystemClock(),
            logger=logger,
        )
        return queue, lambda: tasks.append(asyncio.create_task(mapping.run()))

    yield start
    await stop_all(tasks)


async def send(sqs, queue, *bodies):
    await sqs.send_message_batch(
        QueueUrl=queue.url, Entries=[{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
    )


async def left(sqs, queue):
    told = await sqs.get_queue_attributes(
        QueueUrl=queue.url,
        AttributeNames=["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"],
    )
    return sum(map(int, told["Attributes"].values()))


async def until_empty(sqs, queue):
    async with asyncio.timeout(90):
        while await left(sqs, queue):
            await asyncio.sleep(0.02)


async def test_a_batch_goes_to_the_processor_and_out_of_the_queue(mapped, sqs, handlers):
    queue, run = await mapped()
    await send(sqs, queue, "a", "b", "c")
    await sqs.send_message(
        QueueUrl=queue.url,
        MessageBody="d",
        MessageAttributes={"kind": {"DataType": "String", "StringValue": "x"}},
    )
    run()
    (event,) = await handlers.until("processor", 1)
    records = event["Records"]
    assert [record["body"] for record in records] == ["a", "b", "c", "d"]
    assert set(records[0]) == {
        "messageId",
        "receiptHandle",
        "body",
        "attributes",
        "messageAttributes",
        "md5OfBody",
        "eventSource",
        "eventSourceARN",
        "awsRegion",
    }
    assert records[0]["eventSource"] == "aws:sqs"
    assert records[0]["eventSourceARN"] == queue.arn
    assert records[0]["attributes"]["ApproximateReceiveCount"] == "1"
    assert records[3]["messageAttributes"]["kind"]["stringValue"] == "x"
    await until_empty(sqs, queue)


async def test_what_is_reported_as_failed_stays_in_the_queue(mapped, sqs, handlers):
    async def answer(event):
        failed = [record["messageId"] for record in event["Records"] if record["body"] == "bad"]
        return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}

    handlers.answers["processor"] = answer
    queue, run = await mapped()
    await send(sqs, queue, "a", "bad", "b")
    run()
    await handlers.until("processor", 1)
    async with asyncio.timeout(90):
        while await left(sqs, queue) != 1:
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    "answer",
    [
        FunctionError("ValueError", "x"),
        Throttled("x"),
        {"batchItemFailures": [{"itemIdentifier": ""}]},
        RuntimeError("a fault of the emulator's own"),
    ],
)
async def test_a_batch_that_fails_comes_again_and_then_goes_to_the_dead_letters(mapped, sqs, handlers, answer):
    handlers.answers["processor"] = answer
    queue, run = await mapped(visibility=0)
    await send(sqs, queue, "poison")
    run()
    events = await handlers.until("processor", 2)
    assert [event["Records"][0]["attributes"]["ApproximateReceiveCount"] for event in events] == ["1", "2"]
    dead = (await sqs.get_queue_url(QueueName=queue.arn.rpartition(":")[2] + "-dead"))["QueueUrl"]
    async with asyncio.timeout(90):
        answer = await sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=8)
    assert [message["Body"] for message in answer["Messages"]] == ["poison"]
    assert len(handlers.events["processor"]) == 2


async def test_only_so_many_batches_are_worked_on_at_the_same_time(mapped, sqs, handlers):
    go = asyncio.Event()
    running = 0
    most = 0

    async def slow(_event):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    handlers.answers["processor"] = slow
    queue, run = await mapped(concurrency=2, batch=1)
    await send(sqs, queue, "a", "b", "c", "d")
    run()
    await handlers.until("processor", 2)
    go.set()
    await handlers.until("processor", 4)
    await until_empty(sqs, queue)
    assert most == 2


async def test_a_wake_up_can_be_lost(mapped, sqs, handlers, faults):
    faults.plan("lost_wake_up", subject="sqs")
    queue, run = await mapped()
    await send(sqs, queue, "lost")
    run()
    await until_empty(sqs, queue)
    assert handlers.events["processor"] == []


async def test_a_batch_can_come_twice(mapped, sqs, handlers, faults):
    faults.plan("duplicate_event", subject="sqs")
    queue, run = await mapped()
    await send(sqs, queue, "twice")
    run()
    one, other = await handlers.until("processor", 2)
    assert one == other
    await until_empty(sqs, queue)


async def test_a_queue_that_cannot_be_asked_is_asked_again(handlers, faults, logger):
    from streamer.testing import ManualClock

    class Broken:
        asked = 0

        async def receive_message(self, **_):
            self.asked += 1
            raise OSError("no route")

    clock, broken = ManualClock(), Broken()
    mapping = QueueMapping(
        broken,
        url="",
        arn="",
        invoke=handlers.invoke,
        concurrency=1,
        limits=Limits(),
        region=REGION,
        faults=faults,
        clock=clock,
        logger=logger,
    )
    task = asyncio.create_task(mapping.run())
    await clock.advance(0)
    await clock.advance(3)
    assert broken.asked == 4
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (None, set()),
        ({}, set()),
        ({"batchItemFailures": []}, set()),
        ({"batchItemFailures": None}, set()),
        ({"batchItemFailures": [{"itemIdentifier": "a"}]}, {"a"}),
        ({"batchItemFailures": [{"itemIdentifier": "z"}]}, None),
        ({"batchItemFailures": [{"itemIdentifier": None}]}, None),
        ({"batchItemFailures": [{"id": "a"}]}, None),
        ({"batchItemFailures": ["a"]}, None),
        ({"batchItemFailures": "a"}, None),
    ],
)
def test_what_counts_as_a_partial_failure(answer, failed):
    assert failures(answer, ["a", "b"]) == failed
