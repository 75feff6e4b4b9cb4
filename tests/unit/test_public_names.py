"""The names that `streamer` promises: each can be imported, and none is added or taken away unnoticed."""

import streamer

NAMES = {
    "BaseHandler",
    "BuildContext",
    "Component",
    "Error",
    "Handler",
    "HandlerFunc",
    "HandlerWithProgress",
    "Kind",
    "Middleware",
    "ProgressReporter",
    "ProgressUpdate",
    "Request",
    "Result",
    "Stability",
    "StreamerError",
    "__version__",
    "cancelled",
    "handler",
    "hookimpl",
    "simple_handler",
}


def test_the_public_names_are_these():
    assert set(streamer.__all__) == NAMES
    assert set(dir(streamer)) >= NAMES


def test_every_public_name_can_be_imported():
    assert all(getattr(streamer, name) is not None for name in NAMES)


def test_a_name_that_is_not_there_is_an_attribute_error():
    assert not hasattr(streamer, "Handlr")
