"""A secret of the file never reaches a log line."""

from __future__ import annotations

import io
import logging

import pytest
import structlog

from streamer.runtime.logs import configure


class Stream(io.StringIO):
    """Text or bytes, as the format wants; a terminal it is not."""

    @property
    def buffer(self):
        return self

    def write(self, data):
        return super().write(data.decode() if isinstance(data, bytes) else data)


@pytest.fixture(autouse=True)
def restore():
    handlers, level = list(logging.getLogger().handlers), logging.getLogger().level
    yield
    logging.getLogger().handlers = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_secret_is_hidden_in_events_values_and_tracebacks(form):
    stream = Stream()
    logger = configure("info", form, stream, frozenset({"s3cret-token"}))
    try:
        raise ValueError("the token s3cret-token was refused")  # noqa: TRY301 - it needs a traceback
    except ValueError:
        logger.exception(
            "calling with s3cret-token", headers={"Authorization": "Bearer s3cret-token"}, tried=["s3cret-token"]
        )
    text = stream.getvalue()
    assert "s3cret-token" not in text
    assert "***" in text
    assert "ValueError" in text
