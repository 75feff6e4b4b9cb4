"""Paths as the file writes them."""

from pathlib import Path

import pytest

from streamer.config.paths import located


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("a.json", "/srv/app/a.json"),
        ("./b/../a.json", "/srv/app/a.json"),
        ("../a.json", "/srv/a.json"),
        ("/etc/a.json", "/etc/a.json"),
        ("~/a.json", "/home/ada/a.json"),
        ("~nobody-of-that-name/a", "/srv/app/~nobody-of-that-name/a"),
    ],
)
def test_relative_ones_begin_at_the_folder(written, found, monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    assert located(Path("/srv/app"), written) == Path(found)
