"""`streamer emulate aws`: AWS on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamer.cli.options import config_option, examples

if TYPE_CHECKING:
    from streamer_aws.emulator.emulator import Plan
    from streamer_aws.emulator.limits import Limits

MISSING = "the emulator needs packages that are not installed: pip install 'streamer-router[emulator]'"


@click.command(
    "aws",
    short_help="API Gateway, Lambda, SQS and DynamoDB, on loopback.",
    epilog=examples(
        "streamer emulate aws --config aws.yaml",
        "streamer emulate aws --processes --sandboxes 4     # most like AWS",
        "streamer emulate aws --limit lifetime=60           # closes every connection after a minute",
        "streamer emulate aws --endpoint-url http://127.0.0.1:4566",
        'curl -d \'{"fault": "gone"}\' http://127.0.0.1:3001/_emulator/faults',
    ),
)
@config_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=3001,
    show_default=True,
    help="The port to listen on; 0 means any free port.",
)
@click.option("--stage", default="local", show_default=True, help="The path of the WebSocket endpoint.")
@click.option("--region", help="The region that the service sees. Default: the store's options or AWS_REGION.")
@click.option(
    "--endpoint-url",
    help="A service with the APIs of DynamoDB, SQS and S3. Default: ministack is installed and started.",
)
@click.option(
    "--wake",
    type=click.Choice(["sqs", "streams"]),
    default="sqs",
    show_default=True,
    help="What wakes the processor.",
)
@click.option(
    "--processes/--in-process",
    default=False,
    help="Run sandboxes as processes with Lambda's own runtime, frozen between invocations (Linux only), or, "
    "faster, as objects in this process (the default).",
)
@click.option(
    "--sandboxes",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="Maximum number of sandboxes for each function.",
)
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=NUMBER",
    help="Override a limit of AWS, in bytes or seconds; can be repeated. An unknown name lists all limits.",
)
def command(
    *,
    config_path: Path,
    port: int,
    stage: str,
    region: str | None,
    endpoint_url: str | None,
    wake: str,
    processes: bool,
    sandboxes: int,
    limits: tuple[str, ...],
) -> None:
    """Serve the configured actions as AWS would: with API Gateway's WebSocket API, Lambda functions, the queue or the
    stream that wakes them, and the schedule. ministack emulates DynamoDB, SQS and S3.

    The emulator listens on loopback only, and enforces the limits of AWS: sizes, times, rates, and posts to closed
    connections. It reads no AWS credentials. Faults can be requested at /_emulator/faults. Ctrl-C ends everything; the
    tables are deleted, unless --endpoint-url keeps them.
    """
    from streamer.cli.config_file import read
    from streamer.runtime.logs import configure, take_over
    from streamer.streams.standard import guard_service

    guard_service()
    settings, _ = read(config_path)
    store = settings.backends.store
    if store.name != "dynamodb":
        raise click.ClickException(
            f"{config_path}: the store is {store.name!r}; AWS requires 'backends: {{store: {{use: dynamodb}}}}'"
        )
    connections = settings.backends.connections
    if connections.name != "apigateway":
        raise click.ClickException(
            f"{config_path}: the connections are {connections.name!r}; AWS requires "
            "'backends: {connections: {use: apigateway}}'"
        )
    for kind, options in (("store", store.options), ("connections", connections.options)):
        for name in ("endpoint_url", "endpoint"):
            if name in options:
                raise click.ClickException(
                    f"{config_path}: backends.{kind} sets {name!r}, which would bypass the emulator; remove "
                    "it, and use --endpoint-url for another DynamoDB than the emulator's own"
                )
    try:
        from streamer_aws.emulator.emulator import Plan
    except ImportError as problem:
        raise click.ClickException(f"{MISSING} ({problem})") from problem
    if processes and importlib.util.find_spec("awslambdaric") is None:
        raise click.ClickException(
            "--processes requires awslambdaric, which is available for Linux: pip install awslambdaric"
        )
    logger = configure(settings.logs.level, settings.logs.format, secrets=settings.secrets)
    plan = Plan(
        config=config_path,
        store=store.options,
        connections=connections.options,
        endpoint_url=endpoint_url or "",
        region=region or store.options.get("region") or os.environ.get("AWS_REGION") or "us-east-1",
        port=port,
        stage=stage.strip("/"),
        wake="sqs" if wake == "sqs" else "streams",
        handlers="streamer_aws" if processes else _in_process,
        sandboxes=sandboxes,
        limits=_limits(limits),
    )
    with take_over(logger):
        asyncio.run(_run(plan, logger))


def _in_process(environ: Mapping[str, str]) -> Any:
    entry_points = importlib.import_module("streamer_aws")
    # The file's variables are filled from the user's own environment, as for a real process.
    return entry_points.Sandbox(Path(environ["STREAMER_CONFIG"]), {**os.environ, **environ})


def _limits(given: tuple[str, ...]) -> Limits:
    """AWS's limits, with these overrides.

    Raises:
        click.UsageError: the limit is unknown, or its value is not a number above 0.
    """
    from streamer_aws.emulator.limits import Limits

    default = Limits()
    kinds = {field.name: type(getattr(default, field.name)) for field in fields(Limits)}
    changed: dict[str, Any] = {}
    for one in given:
        name, _, number = one.partition("=")
        if name not in kinds:
            raise click.UsageError(f"--limit {one}: the limits are {', '.join(kinds)}")
        with contextlib.suppress(ValueError):
            changed[name] = kinds[name](number)
        if not changed.get(name, 0) > 0:
            raise click.UsageError(f"--limit {one}: {number!r} is not a {_WORDS[kinds[name]]} above 0")
    return replace(default, **changed)


_WORDS = {int: "whole number", float: "number"}


async def _run(plan: Plan, logger: Any) -> None:
    from streamer.core.clock import SystemClock
    from streamer.runtime.signals import on_stop
    from streamer_aws.emulator import ministack
    from streamer_aws.emulator.emulator import open_emulator, without_aws

    # For all code in this process: nothing here may reach an AWS account.
    own = without_aws(os.environ)
    os.environ.clear()
    os.environ.update(own)
    stop = asyncio.Event()
    on_stop(stop, stop)
    clock = SystemClock()
    stopping = asyncio.ensure_future(stop.wait())

    async def serve() -> None:
        async with contextlib.AsyncExitStack() as stack:
            behind = plan.endpoint_url
            if not behind:
                home = ministack.default_home(os.environ)
                program = await ministack.install(home, lambda line: logger.info("first use", doing=line))
                behind = await stack.enter_async_context(ministack.running(program, plan.region, clock))
            emulator = await stack.enter_async_context(
                open_emulator(replace(plan, endpoint_url=behind), clock=clock, logger=logger)
            )
            os.environ.update(emulator.environ)
            logger.info("ready", url=emulator.url, faults=f"{emulator.http_url}/_emulator/faults", behind=behind)
            await stop.wait()

    serving = asyncio.ensure_future(serve())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        # During both: an installation must be interruptible too.
        logger.info("stopping")
        serving.cancel()
    stopping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving
    logger.info("stopped")
