"""Which hosts only this machine can reach."""

import pytest

from streamer.core.addresses import is_loopback


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.255.254", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_only_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "10.0.0.1", "8.8.8.8", "localhost.example.com", "127.0.0.1.nip.io", "127.1", "fe80::1"],
)
def test_others_too_or_nobody_knows(host):
    assert not is_loopback(host)
