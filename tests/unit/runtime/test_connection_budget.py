"""Sockets never take the descriptors that programs, the store and everything else need."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.config.settings import ServerSettings, Settings, WorkerSettings
from streamer.runtime.connection_budget import fit, warn
from streamer.testing import RecordingLogger


def fitted(limit, *, concurrency=64, **server):
    log = RecordingLogger()
    settings = Settings(
        path=Path("/x/streamer.yaml"),
        server=ServerSettings(**server),
        worker=WorkerSettings(concurrency=concurrency),
    )
    fit_server = fit(settings, limit)
    warn(settings.server, fit_server, limit, log)
    return fit_server, [(event, fields) for _, event, fields in log.lines]


def test_what_fits_is_left_as_it_is():
    assert fitted(1 << 20) == (ServerSettings(), [])
    small = {"max_connections": 10, "max_handshakes": 10}
    assert fitted(1024, **small) == (ServerSettings(**small), [])


@pytest.mark.parametrize("limit", [1, 20, 100, 200, 256, 1024, 4096, 20_000])
@pytest.mark.parametrize("concurrency", [1, 64, 10_000])
def test_a_reserve_is_kept_whatever_the_file_allows(limit, concurrency):
    server, _ = fitted(limit, concurrency=concurrency)
    assert server.max_connections >= 1
    assert server.max_handshakes >= 1
    assert server.max_handshakes_per_address <= server.max_handshakes
    if limit >= 100:
        assert server.max_connections + server.max_handshakes <= limit - limit // 8 - min(64, limit // 8)


def test_the_log_says_what_does_not_fit_and_how_to_change_it():
    server, ((event, about),) = fitted(1024)
    assert "raise the limit (ulimit -n, LimitNOFILE=)" in event
    assert about == {"limit": 1024, "max_connections": 20_000, "accepted": server.max_connections}


def test_fewer_handshakes_alone_are_not_worth_a_line():
    server, lines = fitted(1024, max_connections=100)
    assert (server.max_connections, lines) == (100, [])
    assert server.max_handshakes < 8192
