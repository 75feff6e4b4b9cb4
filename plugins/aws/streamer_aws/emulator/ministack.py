"""DynamoDB, SQS and S3 on this machine: ministack, in a separate environment and process.

It cannot be installed in ours, since it pins another botocore than aiobotocore.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final

import aiohttp

from streamer.core.clock import Clock
from streamer.core.errors import StartError
from streamer_aws.emulator.bounded_waits import done_within

VERSION: Final = "1.5.33"
REQUIREMENT: Final = f"ministack=={VERSION}"
LOOK: Final = 0.05
"""Seconds between two polls whether it responds."""
LAST_WORDS: Final = 10.0
"""Seconds that it gets to end."""
PATIENCE: Final = 600
"""Number of polls of a new process: half a minute."""


def default_home(environ: Mapping[str, str]) -> Path:
    """The folder of its environment: in the user's cache directory, one for each version."""
    cache = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME", "~")).expanduser() / ".cache"
    return Path(cache) / "streamer" / f"ministack-{VERSION}"


async def install(home: Path, report: Callable[[str], Any], requirement: str = REQUIREMENT) -> Path:
    """Its program; on first use the environment is created, which needs the package index.

    Args:
        home: of the environment.
        report: called with one line when this takes a while.
        requirement: what pip installs.

    Raises:
        StartError: it cannot be installed.
    """
    program = home / "bin" / "ministack"
    done = home / "installed"
    if done.exists():
        return program
    report(f"installing {requirement} into {home}, once")
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(home)],
        [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement],
    ):
        try:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as problem:
            raise StartError(f"{command[0]}: {problem.strerror}") from problem
        said, _ = await process.communicate()
        if process.returncode:
            lines = said.decode(errors="replace").strip().splitlines() or ["without an error message"]
            raise StartError(
                f"cannot install {requirement} into {home}: {lines[-1]}; or use --endpoint-url for a service "
                "with the APIs of DynamoDB and SQS"
            )
    done.touch()
    return program


@asynccontextmanager
async def running(program: Path, region: str, clock: Clock) -> AsyncIterator[str]:
    """The address of a new, empty instance on loopback; it ends with the context.

    Raises:
        StartError: it does not start.
    """
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="streamer-ministack-") as folder, _log(folder) as log:
        try:
            process = await asyncio.create_subprocess_exec(
                str(program),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=folder,
                process_group=0,
                env={
                    **os.environ,
                    "BIND_HOST": "127.0.0.1",
                    "GATEWAY_PORT": str(port),
                    "MINISTACK_REGION": region,
                    "IOT_MTLS_ENABLED": "0",
                    "SFTP_ENABLED": "0",
                    "LOG_LEVEL": "WARNING",
                },
            )
        except OSError as problem:
            raise StartError(f"{program}: {problem.strerror}; delete {program.parents[1]} and start again") from problem
        try:
            await _answers(f"{url}/_ministack/health", process, log, clock)
            yield url
        finally:
            await _end(process, clock)


async def _end(process: asyncio.subprocess.Process, clock: Clock) -> None:
    ending = asyncio.ensure_future(process.wait())
    with suppress(ProcessLookupError):
        process.terminate()
    if not await done_within(clock, LAST_WORDS, ending):
        process.kill()
        await ending


async def _answers(url: str, process: asyncio.subprocess.Process, log: IO[bytes], clock: Clock) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(PATIENCE):
            with suppress(aiohttp.ClientError):
                async with session.get(url) as answer:
                    if answer.ok:
                        return
            if process.returncode is not None:
                break
            await clock.sleep(LOOK)
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines() or ["without output"]
    raise StartError(f"ministack does not respond at {url}: {lines[-1]}")


def _log(folder: str) -> IO[bytes]:
    return Path(folder, "log").open("w+b")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
