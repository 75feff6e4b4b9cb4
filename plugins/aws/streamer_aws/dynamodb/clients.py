"""Creates the clients for DynamoDB and other services. Imported only when a service uses this store."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError

from streamer.core.errors import StoreUnavailable

CONNECT_TIMEOUT: Final = 2.0
READ_TIMEOUT: Final = 5.0
"""Seconds. A sandbox that was frozen has stale connections, which must time out quickly."""
CONNECTIONS: Final = 64


@asynccontextmanager
async def connect(
    region: str | None = None, endpoint_url: str | None = None, service: str = "dynamodb"
) -> AsyncIterator[Any]:
    """A client of DynamoDB, with the credentials of the AWS tools.

    Args:
        region: of the table; None: from the environment.
        endpoint_url: of another service with the API of DynamoDB; None: AWS's own.
        service: another service than DynamoDB, by its name in the library.

    Raises:
        StoreUnavailable: no region is configured.
    """
    config = AioConfig(
        connect_timeout=CONNECT_TIMEOUT,
        read_timeout=READ_TIMEOUT,
        max_pool_connections=CONNECTIONS,
        # `Calls` retries, with better errors.
        retries={"total_max_attempts": 1},
        # Emulators have no host name for each bucket.
        s3=None if endpoint_url is None else {"addressing_style": "path"},
    )
    # The library itself reads only AWS_DEFAULT_REGION.
    region = region or os.environ.get("AWS_REGION")
    making = get_session().create_client(service, region_name=region, endpoint_url=endpoint_url, config=config)
    try:
        client = await making.__aenter__()
    except BotoCoreError as problem:
        raise StoreUnavailable(
            f"cannot use AWS: {problem} Set 'region' in the store's options, or AWS_REGION"
        ) from problem
    try:
        yield client
    finally:
        await making.__aexit__(None, None, None)
