"""The names that `streamer` promises: each can be imported, and none is added or taken away unnoticed."""

import inspect
import os
import subprocess
import sys

import pytest

import streamer
import streamer.client
import streamer.testing

NAMES = {
    "Authenticator",
    "BaseHandler",
    "BuildContext",
    "Component",
    "ConnectionManager",
    "DelayHandler",
    "EchoHandler",
    "Error",
    "Handler",
    "HandlerFunc",
    "HandlerWithProgress",
    "Kind",
    "Middleware",
    "OptionProblem",
    "Principal",
    "ProgressReporter",
    "ProgressUpdate",
    "Request",
    "RequestQueue",
    "RequestQueueAdapter",
    "RequestStore",
    "Result",
    "Router",
    "Stability",
    "Storage",
    "StorageQueue",
    "StreamerError",
    "ValidationExampleHandler",
    "__version__",
    "cancelled",
    "convert_async_request_to_request",
    "handler",
    "hookimpl",
    "logging_middleware",
    "simple_handler",
}


def test_the_public_names_are_these():
    assert set(streamer.__all__) == NAMES
    assert set(dir(streamer)) >= NAMES


def test_every_public_name_can_be_imported():
    assert all(getattr(streamer, name) is not None for name in NAMES)


def test_a_name_that_is_not_there_is_an_attribute_error():
    assert not hasattr(streamer, "Handlr")


def test_the_names_for_testers_are_these_and_each_can_be_imported():
    assert set(streamer.testing.__all__) == {
        "BusConformance",
        "ConnectionsConformance",
        "FailingMock",
        "ManualClock",
        "MockConnectionManager",
        "MockRequestStore",
        "ProgressReporterMock",
        "RecordingLogger",
        "RecordingMock",
        "RecordingReporter",
        "SendOnlyMock",
        "StorageConformance",
        "StoreConformance",
        "SubscriptionsConformance",
        "WakeUpsConformance",
        "store_machine",
        "websocket_event",
    }
    assert all(getattr(streamer.testing, name) is not None for name in streamer.testing.__all__)
    assert not hasattr(streamer.testing, "MockStore")


def test_the_clients_names_are_these_and_each_can_be_imported():
    assert set(streamer.client.__all__) == {
        "Cancelled",
        "Conflict",
        "ConnectionFailed",
        "ConnectionLost",
        "ConnectionState",
        "Forbidden",
        "InternalError",
        "InvalidAction",
        "MessageTooLarge",
        "NotAnswered",
        "NotFound",
        "Overloaded",
        "RateLimited",
        "RequestFailed",
        "RequestHandle",
        "StreamerClient",
        "SyncRequestHandle",
        "SyncStreamerClient",
        "TimedOut",
        "Unauthorized",
        "ValidationFailed",
    }
    assert all(getattr(streamer.client, name) is not None for name in streamer.client.__all__)


def test_both_clients_take_the_same_and_can_do_the_same():
    plain, blocking = streamer.client.StreamerClient, streamer.client.SyncStreamerClient
    names = {name for name in dir(plain) if not name.startswith("_")}
    assert {name for name in dir(blocking) if not name.startswith("_")} == names
    for name in names | {"__init__"}:
        ours, theirs = getattr(plain, name), getattr(blocking, name)
        if callable(ours):
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), name


def loaded_by(statement):
    """The modules that a fresh interpreter has after it."""
    program = f"{statement}; import sys; print(*sys.modules)"
    # Measuring coverage loads modules of its own into every child.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_but_itself_and_the_standard_library():
    loaded = loaded_by("import streamer, streamer.testing")
    assert {name for name in loaded if name.startswith("streamer")} == {"streamer", "streamer.testing"}
    assert not loaded & {"asyncio", "msgspec", "pluggy", "jsonschema_rs", "hypothesis"}


@pytest.mark.parametrize(
    ("name", "heavy"),
    [
        ("hookimpl", {"jsonschema_rs", "picows", "structlog", "aiohttp", "click", "sqlite3"}),
        ("EchoHandler", {"pluggy", "jsonschema_rs", "picows", "structlog", "aiohttp", "sqlite3"}),
        ("Router", {"pluggy", "picows", "structlog", "aiohttp", "click", "sqlite3", "yaml"}),
    ],
)
def test_a_name_loads_only_what_it_needs(name, heavy):
    assert not loaded_by(f"from streamer import {name}") & heavy
