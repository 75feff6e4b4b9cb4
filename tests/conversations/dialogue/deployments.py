"""The same service in each of its homes. Only `backends` differs."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from in_process.cluster import open_cluster

from dialogue.relay import Message

SITE = Path(__file__).parents[1] / "site"
"""Where the handlers' plugin is installed."""
HUB_SITE = Path(__file__).parents[2] / "in_process/site"
"""Where the plugin is installed that lets several processes in one share a queue and connections."""
SECRET = "a shared secret of this test, long enough for HS256"
REGION = "eu-central-1"

SERVICE = """\
version: 1
service: {name: talk, async_threshold: 1s}
server: {port: 0, drain_timeout: 0s, allowed_origins: ["https://app.example.com"]}
backends: BACKENDS
worker: {progress_interval: 1ms}
logs: {format: json}
actions:
  echo: {handler: echo}
  order:
    handler: echo
    description: An order of something
    schema:
      type: object
      properties:
        amount: {type: integer, minimum: 1}
        to: {type: object, properties: {email: {type: string}}, required: [email]}
      required: [amount, to]
      additionalProperties: false
  steps: {handler: talk.steps, estimated_duration: 2s, max_wait: 3s}
  fail: {handler: talk.fail, estimated_duration: 100ms}
  fail_later: {handler: talk.fail, mode: async}
  second_try: {handler: talk.second_try, mode: async, retry: {max_attempts: 2, initial: 10ms, jitter: 0}}
  forever: {handler: talk.forever, mode: async}
  watched: {handler: talk.forever, mode: async, on_disconnect: cancel}
  limited: {handler: talk.forever, timeout: 50ms, estimated_duration: 10ms, retry: {max_attempts: 1}}
  half: {handler: talk.half, estimated_duration: 100ms}
  large: {handler: talk.large, estimated_duration: 100ms}
  who: {handler: talk.who, estimated_duration: 100ms}
"""
GUARDED = """\
  secrets: {handler: echo, permissions: ["secrets:read"]}
  later_secrets: {handler: talk.who, mode: async, permissions: ["secrets:read"]}
auth: {use: jwt, secret: "${JWT_SECRET}", algorithms: [HS256], tenants: [acme]}
"""
BACKENDS = {
    "sqlite": "{store: {use: sqlite, path: ./requests.db}}",
    "memory": "{store: memory}",
    "two-gateways": "{store: {use: hub.queue, hub: HUB}, connections: {use: hub.bus, hub: HUB}}",
    "aws": "{store: {use: dynamodb, PLACE}, connections: {use: apigateway, progress_interval: 1ms, PLACE}}",
    "aws-processes": "{store: {use: dynamodb, PLACE}, connections: {use: apigateway, progress_interval: 1ms, PLACE}}",
}


class Home(NamedTuple):
    """Where a service lives."""

    name: str
    urls: tuple[str, ...]
    """Of its gateways; a client that connects anew comes to the next one."""

    @property
    def is_aws(self) -> bool:
        """Whether API Gateway stands before it."""
        return self.name.startswith("aws")

    def told_anew(self, report: Message) -> list[Message]:
        """What whoever begins to follow may be told first, when this is the newest report."""
        never = {**report, "percentage": 0.0, "message": ""}
        never.pop("metadata", None)
        return [report, never] if self.is_aws else [report]


class Starter:
    """What the homes are started with.

    Args:
        folder: an empty one.
        service_class: `python -m streamer run` as a process.
        ministack: gives the address of an emulated AWS.
    """

    def __init__(self, folder: Path, service_class: Callable[..., Any], ministack: Callable[[], str]) -> None:
        self.folder = folder
        self.service_class = service_class
        self.ministack = ministack

    @asynccontextmanager
    async def open(self, name: str, text: str) -> AsyncIterator[Home]:
        """A service of this configuration text."""
        hub = self.folder.name.lower()
        place = f"prefix: {self.folder.name.lower()}-, region: {REGION}"
        if "\nauth:" not in text:
            text += "auth: {use: none, allow_anyone: true}\n"
        config = self.folder / "streamer.yaml"
        config.write_text(text.replace("BACKENDS", BACKENDS[name].replace("PLACE", place).replace("HUB", hub)))
        if name.startswith("aws"):
            opened = self._on_aws(config, name)
        elif name == "two-gateways":
            opened = self._of_two_gateways(config, hub)
        else:
            opened = self._on_this_machine(config)
        async with opened as urls:
            yield Home(name, urls)

    @asynccontextmanager
    async def _on_this_machine(self, config: Path) -> AsyncIterator[tuple[str, ...]]:
        service = self.service_class(config, environment())
        try:
            yield (service.wait_ready().url,)
        finally:
            status = service.stop()
        assert status == 0, "".join(service.raw)

    @asynccontextmanager
    async def _of_two_gateways(self, config: Path, hub: str) -> AsyncIterator[tuple[str, ...]]:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(SITE))
            patch.syspath_prepend(str(HUB_SITE))
            async with open_cluster(config, environment(), hub) as cluster:
                yield tuple(cluster.urls)

    @asynccontextmanager
    async def _on_aws(self, config: Path, name: str) -> AsyncIterator[tuple[str, ...]]:
        # What they need is not needed for the other homes.
        import structlog

        from streamer.core.clock import SystemClock
        from streamer_aws import Sandbox
        from streamer_aws.emulator.emulator import Plan, open_emulator
        from streamer_aws.emulator.limits import Limits

        def handlers(environ: Mapping[str, str]) -> Sandbox:
            return Sandbox(config, {**environ, **environment()})

        prefix = {"prefix": f"{self.folder.name.lower()}-"}
        plan = Plan(
            config=config,
            store=prefix,
            connections=prefix,
            endpoint_url=self.ministack(),
            region=REGION,
            handlers=handlers if name == "aws" else "streamer_aws",
            sandboxes=100 if name == "aws" else 4,
            limits=Limits(queue_wait=1, sweep_every=2.0),
        )
        with pytest.MonkeyPatch.context() as patch:
            for variable, value in environment().items():
                patch.setenv(variable, value)
            if name == "aws":
                patch.syspath_prepend(str(SITE))
            async with open_emulator(plan, clock=SystemClock(), logger=structlog.get_logger()) as emulator:
                # Sandboxes in this process read its environment.
                for variable, value in emulator.environ.items():
                    patch.setenv(variable, value)
                yield (emulator.url,)


def environment() -> dict[str, str]:
    """What a process needs that runs the service, beside what it has."""
    path = os.pathsep.join(filter(None, (str(SITE), os.environ.get("PYTHONPATH"))))
    return {"PYTHONPATH": path, "JWT_SECRET": SECRET}


if __name__ == "__main__":
    # For those who deploy it into an account: `python -m dialogue.deployments [guarded]`, in tests/conversations.
    text = SERVICE + (GUARDED if "guarded" in sys.argv else "auth: {use: none, allow_anyone: true}\n")
    print(text.replace("BACKENDS", BACKENDS["aws"].replace("PLACE", "prefix: talk-")))
