"""Lambda's event source mapping of an SQS queue.

Source: "Using Lambda with Amazon SQS": batches, `ReportBatchItemFailures`, and which messages of a batch are deleted
when.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Final

from streamer.core.clock import Clock
from streamer_aws.emulator.bounded_waits import Tasks
from streamer_aws.emulator.events import queue_event
from streamer_aws.emulator.faults import Fault, Faults
from streamer_aws.emulator.functions import FunctionError, Invoke, Throttled
from streamer_aws.emulator.limits import Limits

PAUSE: Final = 1.0
"""Seconds after a failed poll of the queue."""


class QueueMapping:
    """Reads batches from a queue and passes them to the processor; deletes messages that it did not report as failed.

    Failed messages are left in the queue, which shows them again after the visibility timeout, and moves them to the
    dead-letter queue when they were received too often.

    Args:
        client: of SQS.
        url: the queue's.
        arn: the queue's.
        invoke: calls the processor.
        concurrency: concurrent batches.
        limits: the batch and the wait.
        region: of the queue.
        faults: on demand.
        clock: time.
        logger: for a queue that does not respond, and for invalid answers.
    """

    def __init__(
        self,
        client: Any,
        *,
        url: str,
        arn: str,
        invoke: Invoke,
        concurrency: int,
        limits: Limits,
        region: str,
        faults: Faults,
        clock: Clock,
        logger: Any,
    ) -> None:
        self._client = client
        self._url = url
        self._arn = arn
        self._invoke = invoke
        self._free = asyncio.Semaphore(concurrency)
        self._limits = limits
        self._region = region
        self._faults = faults
        self._clock = clock
        self._logger = logger
        self._tasks = Tasks()

    async def run(self) -> None:
        """Runs until it is cancelled."""
        try:
            while True:
                async with self._free:
                    messages = await self._receive()
                if messages:
                    # Taken only for received messages, so that nothing is received that would then wait here.
                    await self._free.acquire()
                    self._tasks.start(self._work(messages))
        finally:
            await self._tasks.stop()

    async def _receive(self) -> list[dict[str, Any]]:
        try:
            answer = await self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=self._limits.batch,
                WaitTimeSeconds=self._limits.queue_wait,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        except Exception as problem:  # noqa: BLE001 - any failure of the network or the service; it is asked again
            self._logger.warning("cannot read the queue", queue=self._url, error=str(problem))
            await self._clock.sleep(PAUSE)
            return []
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found

    async def _work(self, messages: list[dict[str, Any]]) -> None:
        try:
            done = await self._process(messages)
            if done:
                await self._client.delete_message_batch(
                    QueueUrl=self._url,
                    Entries=[
                        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                        for number, message in enumerate(done)
                    ],
                )
        except Exception as problem:  # noqa: BLE001 - what is not deleted comes again
            self._logger.warning("messages stay in the queue", queue=self._url, error=str(problem))
        finally:
            self._free.release()

    async def _process(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The processed messages."""
        if self._faults.take(Fault.LOST_WAKE_UP, "sqs"):
            return messages
        event = queue_event(messages, self._arn, self._region)
        twice = self._faults.take(Fault.DUPLICATE_EVENT, "sqs") is not None
        calls = [self._invoke("processor", event) for _ in range(1 + twice)]
        answer, *_ = await asyncio.gather(*calls, return_exceptions=True)
        if isinstance(answer, FunctionError | Throttled):
            return []
        if isinstance(answer, BaseException):
            raise answer
        failed = failures(answer, {message["MessageId"] for message in messages})
        if failed is None:
            self._logger.error("the processor's batchItemFailures are invalid: the whole batch counts as failed")
            return []
        return [message for message in messages if message["MessageId"] not in failed]


def failures(answer: Any, known: Collection[str]) -> set[str] | None:
    """The identifiers that the processor reported as failed; None when the answer means that all failed.

    Args:
        answer: of the function; None, an empty object, and empty or missing `batchItemFailures` mean success.
        known: the identifiers of the batch.
    """
    reported = answer.get("batchItemFailures") if isinstance(answer, Mapping) else None
    if not reported:
        return set()
    if not isinstance(reported, list):
        return None
    found = {item.get("itemIdentifier") if isinstance(item, Mapping) else None for item in reported}
    return {str(name) for name in found} if found <= set(known) else None
