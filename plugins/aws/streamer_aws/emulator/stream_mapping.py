"""Lambda's event source mapping of a DynamoDB stream.

Source: "Using Lambda with Amazon DynamoDB": each shard in its order, a batch repeated until it succeeds, in halves if
it fails, and only a limited number of times; after a partial failure, everything from the lowest failed record on is
repeated.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from botocore.exceptions import ClientError

from streamer.core.clock import Clock
from streamer_aws.emulator.bounded_waits import Tasks
from streamer_aws.emulator.events import json_record, stream_event
from streamer_aws.emulator.faults import Fault, Faults
from streamer_aws.emulator.functions import FunctionError, Invoke, Throttled
from streamer_aws.emulator.limits import Limits
from streamer_aws.emulator.queue_mapping import failures

PAUSE: Final = 1.0
"""Seconds after a failed call of the stream, or of the function."""
LOOK_FOR_SHARDS: Final = 5.0
"""Seconds between two polls for new shards."""

Records = Sequence[dict[str, Any]]


class StreamMapping:
    """Reads every shard of a stream and passes its records to the processor, in order, one batch at a time.

    Args:
        client: of DynamoDB Streams.
        arn: the stream's.
        invoke: calls the processor.
        pattern: selects records, as in Lambda's filter criteria; only equality is supported. None: all.
        bisect: whether a failed batch is repeated in halves.
        limits: the batch, the pause and the retries.
        faults: on demand.
        clock: time.
        logger: for records that are given up.
    """

    def __init__(
        self,
        client: Any,
        *,
        arn: str,
        invoke: Invoke,
        pattern: Mapping[str, Any] | None,
        bisect: bool,
        limits: Limits,
        faults: Faults,
        clock: Clock,
        logger: Any,
    ) -> None:
        self.given_up: list[dict[str, Any]] = []
        """Records that failed too often: the on-failure destination gets them."""
        self._client = client
        self._arn = arn
        self._invoke = invoke
        self._pattern = pattern
        self._bisect = bisect
        self._limits = limits
        self._faults = faults
        self._clock = clock
        self._logger = logger

    async def run(self) -> None:
        """Runs until it is cancelled, starting with the oldest record."""
        shards: dict[str, asyncio.Task[None]] = {}
        tasks = Tasks()
        try:
            while True:
                try:
                    for shard in await self._shards():
                        # A shard's records come after those of the shard that it was split from.
                        parent = shards.get(shard.get("ParentShardId", ""))
                        if shard["ShardId"] not in shards and (parent is None or parent.done()):
                            shards[shard["ShardId"]] = tasks.start(self._read(shard["ShardId"]))
                except Exception as problem:  # noqa: BLE001 - any failure of the network or the service; it is asked again
                    self._logger.warning("cannot read the stream", stream=self._arn, error=str(problem))
                await self._clock.sleep(LOOK_FOR_SHARDS)
        finally:
            await tasks.stop()

    async def _shards(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        more: dict[str, str] = {}
        while True:
            described = (await self._client.describe_stream(StreamArn=self._arn, **more))["StreamDescription"]
            found += described["Shards"]
            if "LastEvaluatedShardId" not in described:
                return found
            more = {"ExclusiveStartShardId": described["LastEvaluatedShardId"]}

    async def _read(self, shard: str) -> None:
        async for records in self._batches(shard):
            wanted = [made for made in map(json_record, records) if matches(self._pattern, made)]
            for first in range(0, len(wanted), self._limits.batch):
                await self._work(wanted[first : first + self._limits.batch])

    async def _batches(self, shard: str) -> AsyncIterator[Records]:
        """The shard's records, as they arrive, until it is closed. The checkpoint is what was read last."""
        checkpoint: str | None = None
        iterator: str | None = None
        while True:
            try:
                iterator = iterator or await self._iterator(shard, checkpoint)
                answer = await self._client.get_records(ShardIterator=iterator)
            except ClientError as problem:
                # An iterator is valid for fifteen minutes, which one batch may take.
                iterator = None
                if problem.response["Error"]["Code"] != "ExpiredIteratorException":
                    self._logger.warning("cannot read the shard", shard=shard, error=str(problem))
                    await self._clock.sleep(PAUSE)
                continue
            except Exception as problem:  # noqa: BLE001 - any failure of the network; it is asked again
                self._logger.warning("cannot read the shard", shard=shard, error=str(problem))
                await self._clock.sleep(PAUSE)
                continue
            records: Records = answer["Records"]
            if records:
                yield records
                checkpoint = _number(records[-1])
            iterator = answer.get("NextShardIterator")
            if iterator is None:
                return
            if not records:
                await self._clock.sleep(self._limits.stream_poll)

    async def _iterator(self, shard: str, checkpoint: str | None) -> str:
        place: dict[str, str] = {"ShardIteratorType": "TRIM_HORIZON"}
        if checkpoint is not None:
            place = {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": checkpoint}
        answer = await self._client.get_shard_iterator(StreamArn=self._arn, ShardId=shard, **place)
        iterator: str = answer["ShardIterator"]
        return iterator

    async def _work(self, records: Records) -> None:
        """Returns when each of the records was processed or given up; the shard waits until then."""
        retries = 0
        while records:
            halve = False
            try:
                failed = await self._first_failed(records)
            except FunctionError:
                failed, halve = 0, self._bisect and len(records) > 1
            if failed is None:
                return
            if failed:
                # The records before it are processed, and the rest counts its failures from zero.
                records, retries = records[failed:], 0
            if retries >= self._limits.stream_retries:
                self.given_up.extend(records)
                self._logger.error("records given up", stream=self._arn, count=len(records))
                return
            retries += 1
            await self._clock.sleep(self._limits.stream_poll)
            if halve:
                middle = len(records) // 2
                await self._work(records[:middle])
                records, retries = records[middle:], 0

    async def _first_failed(self, records: Records) -> int | None:
        """The index in the batch of the first record that is reported as failed; None: all are processed.

        Raises:
            FunctionError: the whole batch failed.
        """
        if self._faults.take(Fault.LOST_WAKE_UP, "streams"):
            return None
        event = stream_event(records, self._arn)
        answer = await self._call(event)
        if self._faults.take(Fault.DUPLICATE_EVENT, "streams"):
            answer = await self._call(event)
        numbers = [_number(record) for record in records]
        failed = failures(answer, numbers)
        if failed is None:
            raise FunctionError("BatchItemFailures", "they contain an identifier that is not in the batch")
        return min(map(numbers.index, failed)) if failed else None

    async def _call(self, event: dict[str, Any]) -> Any:
        while True:
            try:
                return await self._invoke("processor", event)
            except Throttled:
                # The records are not the cause: repeated until there is capacity.
                await self._clock.sleep(PAUSE)


def matches(pattern: Mapping[str, Any] | None, value: Any) -> bool:
    """Whether the pattern selects a record: every key in it has one of the values listed for it.

    Args:
        pattern: nested objects that end in lists of values, as in EventBridge's patterns; None: everything.
        value: the record.
    """
    if pattern is None:
        return True
    if not isinstance(value, Mapping):
        return False
    return all(
        matches(wanted, value.get(key)) if isinstance(wanted, Mapping) else value.get(key) in wanted
        for key, wanted in pattern.items()
    )


def _number(record: Mapping[str, Any]) -> str:
    number: str = record["dynamodb"]["SequenceNumber"]
    return number
