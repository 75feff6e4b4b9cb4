"""What the service costs on AWS, and how quick it is on the emulated one: `python -m benchmarks.aws`.

Calls are exact; prices are estimates from public lists; times are this machine's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Final

import structlog

from benchmarks.processes import ROOT
from streamer.client import StreamerClient
from streamer.core.clock import SystemClock
from streamer_aws import Sandbox
from streamer_aws.emulator.emulator import Emulator, Plan, open_emulator, without_aws
from streamer_aws.emulator.functions import NAMES, FunctionError, Invocation
from streamer_aws.emulator.limits import Limits
from streamer_aws.emulator.ministack import running
from streamer_aws.emulator.processes import Process
from streamer_aws.emulator.socket import Socket

REGION: Final = "us-east-1"
FILE: Final = """\
version: 1
auth: {use: none, allow_anyone: true}
backends:
  store: {use: dynamodb, region: us-east-1}
  connections: {use: apigateway, region: us-east-1}
logs: {level: error}
actions:
  echo: {handler: echo}
  later: {handler: echo, mode: async}
  steps: {handler: delay, with: {delay: 12s}, mode: async}
"""

PRICES: Final = {
    # US dollars in us-east-1, on demand, as of November 2025, written down from memory: compare them with AWS's price
    # pages before relying on them.
    "write": 0.625e-6,  # DynamoDB, of up to 1 KB; a write of an index is one more
    "read": 0.125e-6,  # DynamoDB, strongly consistent, of up to 4 KB
    "message": 1.0e-6,  # API Gateway, in or out, of up to 32 KB
    "minute": 0.25e-6,  # API Gateway, of a connection
    "invocation": 0.2e-6,  # Lambda
    "gb_second": 16.6667e-6,  # Lambda, x86
    "queue": 0.4e-6,  # SQS, a call
}
MEMORY: Final = 0.5
"""GB of a function."""
WRITES: Final = ("PutItem", "UpdateItem", "DeleteItem")
INDEX_WRITES: Final = {"echo": 0, "later": 6, "steps": 6}
"""Estimated: the queue's indexes follow a request that is stored, claimed and ended."""
QUEUE_CALLS: Final = {"echo": 0, "later": 3, "steps": 3}
"""Sent, received, deleted, when nothing can be batched."""


async def until_idle(emulator: Emulator) -> None:
    """Returns when nothing was asked of DynamoDB for a moment."""
    last = -1
    while last != (last := emulator.proxy.calls.total()):
        await SystemClock.sleep(0.5)


async def cost(emulator: Emulator, action: str, posts: Counter[str]) -> str:
    """A row of the table for one request of the action."""
    async with StreamerClient(emulator.url) as client:
        await client.request("later", 1)
        await until_idle(emulator)
        before, posted = Counter(emulator.proxy.calls), posts["posts"]
        began = time.perf_counter()
        await client.request(action, 1)
        seconds = time.perf_counter() - began
        await until_idle(emulator)
        calls, out = Counter(emulator.proxy.calls) - before, posts["posts"] - posted
    writes = sum(calls[name] for name in WRITES) + INDEX_WRITES[action]
    reads = calls["GetItem"] + calls["Query"]
    invocations = 1 if action == "echo" else 2
    dollars = (
        writes * PRICES["write"]
        + reads * PRICES["read"]
        + (1 + out) * PRICES["message"]
        + invocations * PRICES["invocation"]
        + seconds * MEMORY * PRICES["gb_second"]
        + QUEUE_CALLS[action] * PRICES["queue"]
    )
    named = ", ".join(f"{count} {name}" for name, count in sorted(calls.items()))
    return f"{action:8}{calls.total():>6}{out:>7}{QUEUE_CALLS[action]:>5}{dollars * 1e6:>10.2f}   {named}"


async def rate(emulator: Emulator, action: str, count: int) -> float:
    """Requests a second, sixteen at a time over four connections."""

    async def some(client: StreamerClient) -> None:
        for _ in range(count // 16):
            await client.request(action, 1)

    clients = [StreamerClient(emulator.url) for _ in range(4)]
    for client in clients:
        await client.connect()
    await asyncio.gather(*(some(client) for client in clients for _ in range(4)))
    began = time.perf_counter()
    await asyncio.gather(*(some(client) for client in clients for _ in range(4)))
    passed = time.perf_counter() - began
    for client in clients:
        await client.close()
    return count / passed


async def cold_start(emulator: Emulator, name: str) -> float:
    """Seconds from the start of a process under Lambda's runtime to the answer to an event that asks for nothing."""
    taken = []
    environ = {**without_aws(os.environ), **emulator.environ}
    for number in range(5):
        began = time.perf_counter()
        sandbox = await Process(f"streamer_aws.{name}", environ, name=name, timeout=30).start()
        # No event of most functions is empty, and the runtime says so; it has begun all the same.
        with contextlib.suppress(FunctionError):
            await sandbox.invoke(b"{}", Invocation(str(number), name, f"arn:{name}", time.time() + 30))
        taken.append(time.perf_counter() - began)
        await sandbox.kill()
    return median(taken)


async def measure(endpoint: str, config: Path) -> None:
    """Prints everything."""
    posts: Counter[str] = Counter()
    send: Callable[..., None] = Socket.send

    def counted(socket: Socket, data: bytes) -> None:
        posts["posts"] += 1
        send(socket, data)

    Socket.send = counted  # type: ignore[method-assign] # what the gateway sends is what is posted
    place = {"region": REGION}
    plan = Plan(
        config=config,
        store=place,
        connections=place,
        endpoint_url=endpoint,
        region=REGION,
        handlers=lambda environ: Sandbox(config, environ),
        sandboxes=16,
        limits=Limits(queue_wait=1, sweep_every=3600.0),
    )
    async with open_emulator(plan, clock=SystemClock(), logger=structlog.get_logger()) as emulator:
        os.environ.update(emulator.environ)
        print(f"{'':8}{'calls':>6}{'posts':>7}{'SQS':>5}{'$/million':>10}   of DynamoDB")
        for action in ("echo", "later", "steps"):
            print(await cost(emulator, action, posts))
        print(f"a connection: ${PRICES['minute'] * 60 * 1e6:.2f} for a million hours\n")
        for action, count in (("echo", 800), ("later", 160)):
            print(f"{action}: {await rate(emulator, action, count):.0f} a second on the emulator")
        for name in NAMES:
            print(f"cold start of {name}: {await cold_start(emulator, name) * 1000:.0f} ms")
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


async def run(program: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "streamer.yaml")
        config.write_text(FILE)
        async with running(program, REGION, SystemClock()) as endpoint:
            await measure(endpoint, config)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aws", description=__doc__)
    parser.add_argument("--ministack", type=Path, default=ROOT / ".tools" / "aws" / "bin" / "ministack")
    asyncio.run(run(parser.parse_args().ministack))


if __name__ == "__main__":
    main()
