"""The names that `streamer` promises: each can be imported, and none is added or taken away unnoticed."""

import streamer

NAMES = {
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
    "ProgressReporter",
    "ProgressUpdate",
    "Request",
    "RequestQueue",
    "RequestQueueAdapter",
    "RequestStore",
    "Result",
    "Router",
    "Stability",
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
