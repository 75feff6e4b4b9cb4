"""A whole service on the emulated AWS."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog

from streamer.core.clock import SystemClock
from streamer_aws import Sandbox
from streamer_aws.dynamodb import clients
from streamer_aws.emulator.emulator import Emulator, Plan, open_emulator
from streamer_aws.emulator.limits import Limits

SITE = Path(__file__).with_name("site")
REGION = "eu-central-1"
numbers = itertools.count()

SERVICE = """\
version: 1
service: {{name: toil}}
auth: {{use: none, allow_anyone: true}}
backends:
  store: {{use: dynamodb, prefix: {prefix}, region: {region}}}
  connections: {{use: apigateway, prefix: {prefix}, region: {region}, progress_interval: 100ms}}
worker: {{lease: {lease}, progress_interval: 50ms}}
logs: {{level: error}}
actions:
  echo: {{handler: echo}}
  toil: {{handler: toil.toil, mode: async, retry: {{max_attempts: 100, initial: 100ms, max: 1s}}}}
"""

Emulating = Callable[..., AbstractAsyncContextManager[Emulator]]


@pytest.fixture(scope="session", autouse=True)
def one_session() -> Iterator[None]:
    """The description of the API is read once, not by each of some hundred sandboxes of this process."""
    with pytest.MonkeyPatch.context() as patch:
        session = clients.get_session()
        patch.setattr(clients, "get_session", lambda: session)
        yield


@pytest.fixture
def emulating(ministack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Emulating:
    """`async with emulating(Limits(…)) as emulator`: sandboxes in this process, or real ones with `processes=True`."""

    @asynccontextmanager
    async def open_one(
        limits: Limits, *, lease: str = "3s", processes: bool = False, sandboxes: int = 8, **options: Any
    ) -> AsyncIterator[Emulator]:
        prefix = f"toil{next(numbers)}-"
        config = tmp_path / "streamer.yaml"
        config.write_text(SERVICE.format(prefix=prefix, region=REGION, lease=lease))
        environment = {
            "TOIL_LEDGER": str(tmp_path / "ledger"),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(SITE), os.environ.get("PYTHONPATH")))),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.syspath_prepend(str(SITE))
        plan = Plan(
            config=config,
            store={"prefix": prefix, "region": REGION},
            connections={"prefix": prefix, "region": REGION},
            endpoint_url=ministack,
            region=REGION,
            handlers="streamer_aws" if processes else lambda environ: Sandbox(config, environ),
            limits=limits,
            sandboxes=sandboxes,
            **options,
        )
        async with open_emulator(plan, clock=SystemClock(), logger=structlog.get_logger()) as emulator:
            # Sandboxes in this process read its environment, too.
            for name, value in emulator.environ.items():
                monkeypatch.setenv(name, value)
            yield emulator

    return open_one
