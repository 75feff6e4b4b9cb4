"""Records of a stream: in order, again until they succeed, and only so often."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from botocore.exceptions import ClientError

from streamer.core.clock import SystemClock
from streamer.testing import ManualClock
from streamer_aws.emulator.bounded_waits import stop_all
from streamer_aws.emulator.functions import FunctionError, Throttled
from streamer_aws.emulator.limits import Limits
from streamer_aws.emulator.resources import client, make_tables
from streamer_aws.emulator.stream_mapping import StreamMapping, matches

REGION = "eu-central-1"
names = itertools.count()


class Stream:
    """Shards in memory: how real ones split, end, and forget iterators, which the emulated DynamoDB's never do."""

    def __init__(self, **shards):
        self.shards = {name: (parent, list(records), ended) for name, (parent, records, ended) in shards.items()}
        self.problems = []
        self.opened = []

    async def describe_stream(self, **asked):
        if self.problems and self.problems[0] == "describe":
            raise OSError(self.problems.pop(0))
        shards = [
            {"ShardId": name, **({"ParentShardId": parent} if parent else {})}
            for name, (parent, _, _) in self.shards.items()
        ]
        first = int("ExclusiveStartShardId" in asked)
        page = {"Shards": shards[first : first + 1] if len(shards) > 1 and first == 0 else shards[first:]}
        if len(shards) > 1 and first == 0:
            page["LastEvaluatedShardId"] = shards[0]["ShardId"]
        return {"StreamDescription": page}

    async def get_shard_iterator(self, **asked):
        after = asked.get("SequenceNumber", "-1")
        self.opened.append((asked["ShardId"], asked["ShardIteratorType"], after))
        return {"ShardIterator": f"{asked['ShardId']}/{int(after) + 1}"}

    async def get_records(self, **asked):
        if self.problems:
            problem = self.problems.pop(0)
            raise problem if isinstance(problem, Exception) else ClientError({"Error": {"Code": problem}}, "GetRecords")
        name, place = asked["ShardIterator"].split("/")
        _, records, ended = self.shards[name]
        found = [one for one in records if int(one["dynamodb"]["SequenceNumber"]) >= int(place)]
        answer = {"Records": found}
        following = int(found[-1]["dynamodb"]["SequenceNumber"]) + 1 if found else int(place)
        if not (ended and not found):
            answer["NextShardIterator"] = f"{name}/{following}"
        return answer


def record(number, kind="INSERT"):
    return {
        "eventID": str(number),
        "eventName": kind,
        "eventSource": "aws:dynamodb",
        "dynamodb": {"SequenceNumber": str(number), "Keys": {"id": {"S": str(number)}}},
    }


def numbers(event):
    return [int(one["dynamodb"]["SequenceNumber"]) for one in event["Records"]]


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
async def reading(handlers, faults, logger, clock):
    """Reads a stream with the test's handlers."""
    tasks = []

    async def start(stream, *, bisect=True, pattern=None, **limits):
        mapping = StreamMapping(
            stream,
            arn="arn:stream",
            invoke=handlers.invoke,
            pattern=pattern,
            bisect=bisect,
            limits=Limits(**{"batch": 10, **limits}),
            faults=faults,
            clock=clock,
            logger=logger,
        )
        tasks.append(asyncio.create_task(mapping.run()))
        await clock.advance(0)
        return mapping

    yield start
    await stop_all(tasks)


async def test_records_come_in_order_and_in_batches(reading, handlers):
    await reading(Stream(a=(None, map(record, range(5)), False)), batch=2)
    assert [numbers(event) for event in handlers.events["processor"]] == [[0, 1], [2, 3], [4]]
    one = handlers.events["processor"][0]["Records"][0]
    assert one["eventSourceARN"] == "arn:stream"
    assert one["eventName"] == "INSERT"


async def test_only_what_the_pattern_wants_comes(reading, handlers, clock):
    stream = Stream(a=(None, [record(0, "MODIFY"), record(1), record(2, "REMOVE"), record(3)], False))
    await reading(stream, pattern={"eventName": ["INSERT"]})
    assert [numbers(event) for event in handlers.events["processor"]] == [[1, 3]]
    stream.shards["a"][1].append(record(4, "MODIFY"))
    await clock.advance(1)
    assert len(handlers.events["processor"]) == 1


async def test_each_shard_has_its_own_lane_and_children_wait_for_their_parent(reading, handlers, clock):
    stuck = asyncio.Event()

    async def answer(event):
        if numbers(event) == [0]:
            await stuck.wait()

    handlers.answers["processor"] = answer
    await reading(Stream(a=(None, [record(0)], True), b=(None, [record(10)], False), c=("a", [record(20)], False)))
    await clock.advance(6)
    assert [numbers(event) for event in handlers.events["processor"]] == [[0], [10]]
    stuck.set()
    await clock.advance(11)
    assert [numbers(event) for event in handlers.events["processor"]] == [[0], [10], [20]]


async def test_a_partial_failure_brings_everything_from_the_lowest_failed_record_again(reading, handlers, clock):
    tried = []

    async def answer(event):
        tried.append(numbers(event))
        failed = ["3", "1"] if len(tried) == 1 else []
        return {"batchItemFailures": [{"itemIdentifier": number} for number in failed]}

    handlers.answers["processor"] = answer
    await reading(Stream(a=(None, map(record, range(5)), False)))
    await clock.advance(1)
    assert tried == [[0, 1, 2, 3, 4], [1, 2, 3, 4]]


async def test_a_batch_that_fails_is_tried_again_in_halves_until_only_the_poison_is_left(reading, handlers, clock):
    done = []

    async def answer(event):
        if 2 in numbers(event):
            raise FunctionError("ValueError", "poison")
        done.extend(numbers(event))

    handlers.answers["processor"] = answer
    mapping = await reading(Stream(a=(None, map(record, range(5)), False)), stream_retries=2)
    await clock.advance(60)
    assert sorted(done) == [0, 1, 3, 4]
    assert [one["eventID"] for one in mapping.given_up] == ["2"]
    assert sum(numbers(event) == [2] for event in handlers.events["processor"]) == 3


async def test_without_bisection_the_whole_batch_is_given_up(reading, handlers, clock):
    handlers.answers["processor"] = FunctionError("ValueError", "poison")
    mapping = await reading(Stream(a=(None, map(record, range(3)), False)), bisect=False, stream_retries=4)
    await clock.advance(60)
    assert [numbers(event) for event in handlers.events["processor"]] == [[0, 1, 2]] * 5
    assert len(mapping.given_up) == 3


async def test_a_failing_record_blocks_its_lane_until_it_is_given_up(reading, handlers, clock):
    async def answer(event):
        if numbers(event) == [0]:
            raise FunctionError("ValueError", "poison")

    handlers.answers["processor"] = answer
    await reading(Stream(a=(None, map(record, range(2)), False)), batch=1, stream_retries=3, stream_poll=1.0)
    await clock.advance(2.5)
    assert [numbers(event) for event in handlers.events["processor"]] == [[0]] * 3
    await clock.advance(1)
    assert [numbers(event) for event in handlers.events["processor"]] == [[0]] * 4 + [[1]]


async def test_failures_that_are_not_of_the_batch_fail_it_as_a_whole(reading, handlers, clock):
    handlers.answers["processor"] = {"batchItemFailures": [{"itemIdentifier": "99"}]}
    mapping = await reading(Stream(a=(None, [record(0)], False)), stream_retries=1)
    await clock.advance(10)
    assert len(handlers.events["processor"]) == 2
    assert len(mapping.given_up) == 1


async def test_throttling_costs_no_attempt(reading, handlers, clock):
    calls = []

    async def answer(_event):
        calls.append(1)
        if len(calls) < 10:
            raise Throttled("busy")

    handlers.answers["processor"] = answer
    mapping = await reading(Stream(a=(None, [record(0)], False)), stream_retries=1)
    await clock.advance(20)
    assert len(calls) == 10
    assert mapping.given_up == []


async def test_it_goes_on_from_its_checkpoint_after_an_iterator_has_expired(reading, handlers, clock):
    stream = Stream(a=(None, map(record, range(2)), False))
    await reading(stream)
    stream.problems.append("ExpiredIteratorException")
    stream.shards["a"][1].append(record(2))
    await clock.advance(1)
    assert [numbers(event) for event in handlers.events["processor"]] == [[0, 1], [2]]
    assert stream.opened[-1] == ("a", "AFTER_SEQUENCE_NUMBER", "1")


@pytest.mark.parametrize("problem", ["describe", "InternalServerError", OSError("no route")])
async def test_a_stream_that_cannot_be_asked_is_asked_again(reading, handlers, clock, problem):
    stream = Stream(a=(None, map(record, range(2)), False))
    stream.problems.append(problem)
    await reading(stream)
    await clock.advance(10)
    assert [numbers(event) for event in handlers.events["processor"]] == [[0, 1]]


async def test_records_can_be_lost_and_come_twice(reading, handlers, faults):
    faults.plan("lost_wake_up", subject="streams")
    faults.plan("duplicate_event", subject="streams")
    await reading(Stream(a=(None, map(record, range(3)), False)), batch=1)
    assert [numbers(event) for event in handlers.events["processor"]] == [[1], [1], [2]]


async def test_the_stream_of_a_real_table_wakes_the_processor(ministack, handlers, faults, logger):
    prefix = f"streamed-{next(names)}-"
    async with client("dynamodb", REGION, ministack) as dynamodb:
        arn = await make_tables({"prefix": prefix}, {"prefix": prefix}, dynamodb, SystemClock())
        async with client("dynamodbstreams", REGION, ministack) as streams:
            mapping = StreamMapping(
                streams,
                arn=arn,
                invoke=handlers.invoke,
                pattern={"eventName": ["INSERT"]},
                bisect=True,
                limits=Limits(stream_poll=0.05),
                faults=faults,
                clock=SystemClock(),
                logger=logger,
            )
            task = asyncio.create_task(mapping.run())
            item = {"owner": {"S": "o"}, "id": {"S": "1"}, "blob": {"B": b"\x00"}}
            await dynamodb.put_item(TableName=f"{prefix}requests", Item=item)
            await dynamodb.put_item(TableName=f"{prefix}requests", Item={**item, "n": {"N": "1"}})
            await dynamodb.put_item(TableName=f"{prefix}requests", Item={**item, "id": {"S": "2"}})
            events = await handlers.until("processor", 1)
            while sum(len(event["Records"]) for event in events) < 2:
                events = await handlers.until("processor", len(events) + 1)
            await stop_all([task])
        await dynamodb.delete_table(TableName=f"{prefix}requests")
    found = [one for event in events for one in event["Records"]]
    assert [one["dynamodb"]["Keys"]["id"]["S"] for one in found] == ["1", "2"]
    assert {one["eventName"] for one in found} == {"INSERT"}
    assert found[0]["eventSourceARN"] == arn
    assert isinstance(found[0]["dynamodb"]["ApproximateCreationDateTime"], float)


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        (None, True),
        ({"eventName": ["INSERT"]}, True),
        ({"eventName": ["REMOVE", "INSERT"]}, True),
        ({"eventName": ["REMOVE"]}, False),
        ({"dynamodb": {"NewImage": {"status": {"S": ["queued"]}}}}, True),
        ({"dynamodb": {"NewImage": {"status": {"S": ["done"]}}}}, False),
        ({"dynamodb": {"OldImage": {"status": {"S": ["queued"]}}}}, False),
        ({"eventName": ["INSERT"], "missing": ["x"]}, False),
    ],
)
def test_what_a_pattern_wants(pattern, wanted):
    assert matches(pattern, {"eventName": "INSERT", "dynamodb": {"NewImage": {"status": {"S": "queued"}}}}) is wanted
