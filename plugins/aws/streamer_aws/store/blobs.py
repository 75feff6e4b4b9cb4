"""Payloads and results that are too large for an item: stored in an S3 bucket, if one is configured.

The item then has the object's name in `payload_at` or `result_at`. An object is written before the item that refers to
it, and never changed. Nothing here deletes objects: the bucket needs a lifecycle rule that does, later than any request
is kept (the time in the queue and `worker.result_ttl`). A request whose payload was deleted too early is not run; it
ends like one whose workers died.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from streamer.contracts.stores import Key
from streamer.core.clock import Clock
from streamer.core.errors import StoreUnavailable
from streamer.core.records import RequestRecord
from streamer_aws.dynamodb.calls import Calls, TooLarge
from streamer_aws.dynamodb.values import Item
from streamer_aws.store.items import Layout, Stored, size, to_item

MAX_ITEM: Final = 400 * 1024
"""Bytes of an item, DynamoDB's own limit."""
RESERVED: Final = 32 * 1024
"""Bytes of an item that are reserved when it is stored: for errors, progress and the history of its attempts."""


class Objects:
    """Whole objects of S3, with the retries of `Calls`.

    Args:
        client: aiobotocore's, for S3.
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self.put_object = client.put_object

    async def fetch_object(self, **parameters: Any) -> bytes:
        """The object's bytes."""
        answer = await self._client.get_object(**parameters)
        async with answer["Body"] as body:
            content: bytes = await body.read()
        return content


class Blobs:
    """Moves large content to S3, and reads it back.

    Args:
        client: aiobotocore's, for S3; None where no bucket is configured.
        bucket: its name.
        clock: for waits between retries.
    """

    def __init__(self, client: Any, bucket: str, clock: Clock) -> None:
        self._calls = None if client is None else Calls(Objects(client), bucket, clock, service="S3")

    async def item(self, stored: Stored, layout: Layout) -> Item:
        """The item of a new record, with its payload moved to S3 if necessary.

        Raises:
            TooLarge: it is necessary, and no bucket is configured.
        """
        item = to_item(stored, layout)
        if size(item) <= MAX_ITEM - RESERVED:
            return item
        name = await self.put(stored.record.key, stored.record.payload)
        item = to_item(stored._replace(away={"payload": name}), layout)
        if size(item) > MAX_ITEM - RESERVED:
            raise TooLarge
        return item

    async def put(self, key: Key, content: bytes) -> str:
        """The name of the object that now has this content.

        Raises:
            TooLarge: no bucket is configured.
            StoreUnavailable: S3 does not accept it.
        """
        if self._calls is None:
            raise TooLarge
        folder = hashlib.sha256("\0".join(key).encode()).hexdigest()
        name = f"requests/{folder}/{hashlib.sha256(content).hexdigest()}"
        await self._calls.make("put_object", Bucket=self._calls.table, Key=name, Body=content)
        return name

    async def whole(self, stored: Stored) -> RequestRecord:
        """The record including its content in S3.

        Raises:
            StoreUnavailable: the object does not exist, S3 does not respond, or no bucket is configured any longer.
        """
        record = stored.record
        for field, name in stored.away.items():
            if self._calls is None:
                raise StoreUnavailable(
                    f"the {field} of request {record.id!r} is in S3: set 'bucket' in the store's options again"
                )
            content = await self._calls.make("fetch_object", Bucket=self._calls.table, Key=name)
            record = msgspec.structs.replace(record, **{field: content})
        return record
