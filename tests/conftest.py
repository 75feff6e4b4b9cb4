"""Fixtures that every test may use."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import structlog
from lanes import (  # noqa: F401 - hooks of pytest
    pytest_collection_modifyitems,
    pytest_deselected,
    pytest_sessionfinish,
    pytest_terminal_summary,
    pytest_testnodedown,
)

# `nohup`, and a shell that runs the tests in the background, ignore these signals for them and for every process that
# they start; processes that a user starts do not.
for _number, _usual in (
    (signal.SIGHUP, signal.SIG_DFL),
    (signal.SIGQUIT, signal.SIG_DFL),
    (signal.SIGINT, signal.default_int_handler),
):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _usual)


class RunningService:
    """`python -m streamer run` as a real process, with its log read line by line."""

    def __init__(self, config: Path, environment: dict[str, str]) -> None:
        self.config = config
        self.log: list[dict[str, Any]] = []
        self.raw: list[str] = []
        self._ready = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamer", "run", "--config", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            cwd=config.parent,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = ""

    def _read(self) -> None:
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self.raw.append(line)
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    self.log.append(entry)
                    if entry.get("event") == "ready":
                        self.url = entry["url"]
                        self._ready.set()
        self._ready.set()

    def wait_ready(self) -> RunningService:
        assert self._ready.wait(90), "the service did not become ready in 90 seconds"
        assert self.url, f"the service did not start:\n{''.join(self.raw)}"
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def http_url(self) -> str:
        return self.url.replace("ws", "http", 1).removesuffix("/ws")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(10)

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        status = self._process.wait(60)
        self._reader.join(10)
        return status


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., RunningService]]:
    """Starts a service of a configuration text on a free port; several may be started one after another."""
    with starter(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningService]]:
    """The same for a service that all tests of a module share."""
    with starter(tmp_path_factory.mktemp("shared")) as start:
        yield start


@contextlib.contextmanager
def starter(folder: Path) -> Iterator[Callable[..., RunningService]]:
    started: list[RunningService] = []

    def start(config: str | Path, **environment: str) -> RunningService:
        path = config if isinstance(config, Path) else folder / "streamer.yaml"
        if isinstance(config, str):
            path.write_text(config)
        service = RunningService(path, environment)
        started.append(service)
        return service.wait_ready()

    yield start
    for service in started:
        if service._process.poll() is None:
            service.kill()


@pytest.fixture(scope="session")
def service_class() -> type[RunningService]:
    """For services that live longer than one test."""
    return RunningService


@pytest.fixture
def seed() -> int:
    """The seed of a random test: printed, and taken from STREAMER_TEST_SEED to run one again."""
    value = int(os.environ.get("STREAMER_TEST_SEED", random.SystemRandom().randrange(2**32)))
    print(f"\nSTREAMER_TEST_SEED={value}")
    return value


@pytest.fixture(params=["asyncio", "uvloop"])
def any_loop(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """A runner on each kind of loop."""
    import uvloop

    factory = uvloop.new_event_loop if request.param == "uvloop" else None
    with asyncio.Runner(loop_factory=factory) as runner:
        yield runner


ROOT = Path(__file__).parents[1]
TOOLS = Path(os.environ.get("STREAMER_TEST_TOOLS", ROOT / ".tools"))
NODE_MODULES = TOOLS.absolute() / "node_modules"


def without(name: str | Path) -> NoReturn:
    """Skips the test at home, and fails it on CI, where everything must be there."""
    missing: Any = pytest.fail if os.environ.get("CI") else pytest.skip
    missing(f"{name} is not installed; .ci/run says how it is")


def found(name: str) -> str:
    """The path of a program of the system, or of one of Node's."""
    return shutil.which(name) or shutil.which(name, path=str(NODE_MODULES / ".bin")) or without(name)


@pytest.fixture(scope="session")
def program() -> Callable[[str], str]:
    """Gives a program's path; see `found`."""
    return found


@pytest.fixture(scope="session")
def promtool() -> str:
    """The program that checks metrics and alerts; Debian has it in its package `prometheus`."""
    return found("promtool")


@pytest.fixture(scope="session")
def node() -> list[str]:
    """The command that runs a script. Node 20 has a WebSocket only if it is asked for one."""
    path = found("node")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < 20:
        without(f"node is {version.strip()}; node 20")
    return [path, "--experimental-websocket", "--no-warnings"]


@pytest.fixture(scope="session")
def node_package() -> Callable[[str], Path]:
    """Gives the folder of a package for Node."""

    def folder(name: str) -> Path:
        path = NODE_MODULES / name
        return path if path.exists() else without(path)

    return folder


def emulator(name: str) -> str:
    """Its program, in an environment of its own."""
    path = TOOLS.absolute() / "aws" / "bin" / name
    return str(path) if path.exists() else without(path)


@pytest.fixture(autouse=True)
def logs_as_they_are() -> Iterator[None]:
    """What a test's service, or command, makes of the logs is not the next test's business."""
    # Before as well: a module's service may have ended after the last test of the module.
    _reset_levels()
    yield
    if structlog.is_configured():
        structlog.reset_defaults()
    _reset_levels()


def _reset_levels() -> None:
    logging.getLogger().setLevel(logging.WARNING)
    for name in ("streamer.client", "asyncio"):
        logging.getLogger(name).setLevel(logging.NOTSET)


@pytest.fixture(scope="session")
def aws_tool() -> Callable[[str], str]:
    """Where a program of the emulators' environment is."""
    return emulator


@contextlib.contextmanager
def emulating(command: list[str], url: str, environment: dict[str, str], folder: Path) -> Iterator[None]:
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=subprocess.STDOUT, cwd=folder
        )
    try:
        for _ in range(600):
            with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        else:
            pytest.fail(f"{command[0]} does not answer:\n{log.read_text()}")
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def aws_credentials() -> Iterator[None]:
    """What the emulators take for credentials; none of this machine's own are looked for."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
            patch.delenv(name, raising=False)
        yield


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="session")
def ministack_program() -> Path:
    """Where it is installed."""
    return Path(emulator("ministack"))


@pytest.fixture(scope="session")
def ministack(
    aws_credentials: None, ministack_program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The address of an emulated AWS."""
    program = str(ministack_program)
    port = free_port()
    environment = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": "eu-central-1",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "LOG_LEVEL": "WARNING",
    }
    url = f"http://127.0.0.1:{port}"
    with emulating([program], f"{url}/_ministack/health", environment, tmp_path_factory.mktemp("ministack")):
        yield url


@pytest.fixture(scope="session")
def moto(aws_credentials: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a second opinion on what AWS does."""
    program = emulator("moto_server")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [program, "-H", "127.0.0.1", "-p", str(port)]
    with emulating(command, f"{url}/moto-api/data.json", {}, tmp_path_factory.mktemp("moto")):
        yield url
