"""Calls to DynamoDB, with retries and readable errors."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Coroutine, Iterable, Sequence
from typing import Any, Final, TypeVar

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as Unheard

from streamer.core.clock import Clock
from streamer.core.errors import StoreClosed, StoreUnavailable
from streamer_aws.dynamodb.values import Item

Result = TypeVar("Result")

THROTTLED: Final = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ThrottlingException",
        "TransactionConflictException",
    }
)
"""Errors that mean: too fast; the same call may succeed a little later."""
PASSING: Final = frozenset({"InternalFailure", "InternalServerError", "ServiceUnavailable"})
"""Temporary errors of DynamoDB."""
TRIES: Final = 8
TRIES_UNHEARD: Final = 3
"""Tries when there is no response: each lasts as long as the client's timeouts."""
FIRST_DELAY: Final = 0.05
LONGEST_DELAY: Final = 1.0
"""Seconds, each drawn at random between zero and the delay: 3.5 at most for all tries together."""
AT_ONCE: Final = 32
"""Concurrent calls of one operation on many requests."""
BATCH: Final = 100
"""Maximum keys of one BatchGetItem."""


class Refused(Exception):
    """The condition of a write was false. It does not leave this package."""

    def __init__(self, item: Item | None) -> None:
        super().__init__()
        self.item = item
        """The existing item; None if there is none."""


class TooLarge(Exception):
    """The item is too large for DynamoDB. It does not leave this package."""


class Throttled(StoreUnavailable):
    """DynamoDB asked for fewer calls until no tries were left."""


class TableMissing(StoreUnavailable):
    """The table does not exist, or lacks an index."""


class Calls:
    """The calls of one store.

    Args:
        client: aiobotocore's, without its own retries.
        table: the table of the calls; for S3, the bucket.
        clock: for waits.
        generator: of the jitter.
        service: its name in errors.
    """

    def __init__(
        self,
        client: Any,
        table: str,
        clock: Clock,
        generator: random.Random | None = None,
        service: str = "DynamoDB",
    ) -> None:
        self.table = table
        self._service = service
        self._client = client
        self._clock = clock
        self._generator = generator or random.Random()  # noqa: S311 - jitter, not a secret
        self._closed = False
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def close(self) -> None:
        """Refuses all further calls, and returns when the current ones have ended."""
        self._closed = True
        await self._idle.wait()

    def check_open(self) -> None:
        """Raises StoreClosed once the store is closed."""
        if self._closed:
            raise StoreClosed("the store is closed")

    async def make(self, operation: str, **parameters: Any) -> Any:
        """The response of one call.

        Raises:
            Refused: the write's condition is false.
            TooLarge: the item exceeds DynamoDB's limit.
            Throttled: it was too fast for DynamoDB, in all tries.
            StoreUnavailable: any other error; the message says what to do.
        """
        tries = unheard = 0
        while True:
            self.check_open()
            self._under_way += 1
            self._idle.clear()
            try:
                return await getattr(self._client, operation)(**parameters)
            except ClientError as problem:
                failure = self._judged(problem)
            except (HTTPClientError, Unheard) as problem:
                failure = StoreUnavailable(f"{self._service} cannot be reached: {problem}")
                unheard += 1
            except BotoCoreError as problem:
                raise StoreUnavailable(f"cannot call {self._service}: {problem}") from problem
            finally:
                self._under_way -= 1
                if not self._under_way:
                    self._idle.set()
            tries += 1
            if tries == TRIES or unheard == TRIES_UNHEARD:
                raise failure
            await self.wait(tries)

    async def wait(self, tries: int) -> None:
        """Returns after a delay that grows with the number of tries."""
        longest = min(FIRST_DELAY * 2 ** (tries - 1), LONGEST_DELAY)
        await self._clock.sleep(self._generator.uniform(0.0, longest))

    async def pages(self, **parameters: Any) -> list[Item]:
        """The items of all pages of a query."""
        items: list[Item] = []
        start: dict[str, Any] = {}
        while True:
            page = await self.make("query", TableName=self.table, **parameters, **start)
            items += page["Items"]
            if "LastEvaluatedKey" not in page:
                return items
            start = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    async def get_many(
        self, keys: Iterable[Item], *, attributes: Sequence[str] = (), consistent: bool = True
    ) -> list[Item]:
        """The existing items with these keys, unordered.

        Args:
            keys: of the table.
            attributes: to read of each; all when empty.
            consistent: strongly consistent reads; otherwise they may be slightly out of date, and cost half.
        """
        how: dict[str, Any] = {"ConsistentRead": consistent}
        if attributes:
            names = {f"#{name}": name for name in attributes}
            how |= {"ProjectionExpression": ", ".join(names), "ExpressionAttributeNames": names}
        left = list(keys)
        items: list[Item] = []
        tries = 0
        while left:
            asked, left = left[:BATCH], left[BATCH:]
            answer = await self.make("batch_get_item", RequestItems={self.table: {"Keys": asked, **how}})
            items += answer["Responses"].get(self.table, [])
            unprocessed = answer.get("UnprocessedKeys", {}).get(self.table, {}).get("Keys", [])
            left += unprocessed
            # A response ends at 16 MB, which is no reason to wait; a response with almost no items means throttling.
            if len(unprocessed) == len(asked):
                tries += 1
                if tries == TRIES:
                    raise Throttled(f"DynamoDB throttles reads of the table {self.table!r}")
                await self.wait(tries)
        return items

    def _judged(self, problem: ClientError) -> StoreUnavailable:
        """The exception when no tries are left. Errors that a retry cannot fix are raised immediately."""
        error = problem.response.get("Error", {})
        code, message = error.get("Code", ""), error.get("Message", "")
        if code == "ConditionalCheckFailedException":
            raise Refused(problem.response.get("Item")) from None
        if code == "ValidationException" and "item size" in message.lower():
            raise TooLarge from problem
        if code in THROTTLED:
            return Throttled(
                f"DynamoDB throttles the table {self.table!r} ({code}); it accepts fewer calls than are made"
            )
        status = problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in PASSING or status >= 500:  # noqa: PLR2004 - HTTP's server errors
            return StoreUnavailable(f"{self._service} fails: {code}: {message}")
        if code == "ResourceNotFoundException":
            raise TableMissing(
                f"the table {self.table!r}, or one of its indexes, does not exist: 'streamer backend check' shows the "
                "problem, 'streamer backend create' creates the table"
            ) from problem
        raise StoreUnavailable(
            f"{self._service} refuses {problem.operation_name} on {self.table!r}: {code}: {message}"
        ) from problem


async def all_of(work: Iterable[Awaitable[Result]]) -> list[Result]:
    """The results in order, with limited concurrency. The first exception is raised when all have ended."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def gated(one: Awaitable[Result]) -> Result:
        try:
            await gate.acquire()
        except asyncio.CancelledError:
            if isinstance(one, Coroutine):
                # It never starts.
                one.close()
            raise
        try:
            return await one
        finally:
            gate.release()

    done = await asyncio.gather(*map(gated, work), return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return [one for one in done if not isinstance(one, BaseException)]
