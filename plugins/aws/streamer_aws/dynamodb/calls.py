"""Calls to DynamoDB: tried again while that may help, and their errors told in words."""

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
"""Answers that mean: too fast; the same call may be made a little later."""
PASSING: Final = frozenset({"InternalFailure", "InternalServerError", "ServiceUnavailable"})
"""Faults on the other side that pass by themselves."""
TRIES: Final = 8
TRIES_UNHEARD: Final = 3
"""When nothing answers: each try lasts as long as the client's timeouts."""
FIRST_DELAY: Final = 0.05
LONGEST_DELAY: Final = 1.0
"""Seconds, each drawn at random from nothing up to the delay: 3.5 at the most for all tries together."""
AT_ONCE: Final = 32
"""Calls under way for one operation on many requests."""
BATCH: Final = 100
"""Keys of one BatchGetItem, DynamoDB's own limit."""


class Refused(Exception):
    """The condition of a write did not hold. It stays in this package."""

    def __init__(self, item: Item | None) -> None:
        super().__init__()
        self.item = item
        """What stands there; None for nothing."""


class TooLarge(Exception):
    """DynamoDB takes no item of this size. It stays in this package."""


class Throttled(StoreUnavailable):
    """DynamoDB asked for fewer calls until all tries were used up."""


class TableMissing(StoreUnavailable):
    """There is no such table, or it lacks an index."""


class Calls:
    """The calls of one store.

    Args:
        client: aiobotocore's, without retries of its own.
        table: that the calls are about; of S3, the bucket.
        clock: for the waiting.
        generator: of the jitter.
        service: what it is called in errors.
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
        """Refuses all calls from now on, and returns when those that are under way have ended."""
        self._closed = True
        await self._idle.wait()

    def check_open(self) -> None:
        """Raises StoreClosed once the store is closed."""
        if self._closed:
            raise StoreClosed("the store is closed")

    async def make(self, operation: str, **parameters: Any) -> Any:
        """The answer of one call.

        Raises:
            Refused: the write's condition does not hold.
            TooLarge: the item is over DynamoDB's limit.
            Throttled: it was too fast for DynamoDB, for all tries.
            StoreUnavailable: anything else; it says what to do.
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
                raise StoreUnavailable(f"{self._service} cannot be asked: {problem}") from problem
            finally:
                self._under_way -= 1
                if not self._under_way:
                    self._idle.set()
            tries += 1
            if tries == TRIES or unheard == TRIES_UNHEARD:
                raise failure
            await self.wait(tries)

    async def wait(self, tries: int) -> None:
        """Returns after a while, longer after more tries."""
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
        """The items that there are of these keys, in no order.

        Args:
            keys: of the table.
            attributes: what to read of each; everything when empty.
            consistent: as of their last write; else as they were a moment ago, which costs half.
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
            # An answer ends at 16 MB, which is no reason to wait; one that brings next to nothing is throttled.
            if len(unprocessed) == len(asked):
                tries += 1
                if tries == TRIES:
                    raise Throttled(f"DynamoDB throttles reads of the table {self.table!r}")
                await self.wait(tries)
        return items

    def _judged(self, problem: ClientError) -> StoreUnavailable:
        """What to raise when the tries are used up. What no trying can help is raised at once."""
        error = problem.response.get("Error", {})
        code, message = error.get("Code", ""), error.get("Message", "")
        if code == "ConditionalCheckFailedException":
            raise Refused(problem.response.get("Item")) from None
        if code == "ValidationException" and "item size" in message.lower():
            raise TooLarge from problem
        if code in THROTTLED:
            return Throttled(f"DynamoDB throttles the table {self.table!r} ({code}); it takes fewer calls than come")
        status = problem.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in PASSING or status >= 500:  # noqa: PLR2004 - HTTP's server errors
            return StoreUnavailable(f"{self._service} fails: {code}: {message}")
        if code == "ResourceNotFoundException":
            raise TableMissing(
                f"the table {self.table!r}, or one of its indexes, is not there: 'streamer backend check' says what "
                "is, 'streamer backend create' makes it"
            ) from problem
        raise StoreUnavailable(
            f"{self._service} refuses {problem.operation_name} on {self.table!r}: {code}: {message}"
        ) from problem


async def all_of(work: Iterable[Awaitable[Result]]) -> list[Result]:
    """The results in order, so many at once as is good. The first failure is raised when all have ended."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def gated(one: Awaitable[Result]) -> Result:
        try:
            await gate.acquire()
        except asyncio.CancelledError:
            if isinstance(one, Coroutine):
                # It never begins.
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
