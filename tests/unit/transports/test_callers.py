"""Whose address a connection comes from."""

from __future__ import annotations

import pytest

from streamer.core.networks import parse_address
from streamer.transports.callers import Callers

PROXIES = ("10.0.0.0/8", "2001:db8:ffff::/48")


def caller(socket, *headers, trusted=PROXIES, header="X-Forwarded-For"):
    return str(Callers(trusted, header).of(parse_address(socket), headers))


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ([], "10.0.0.1"),
        (["198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1", "198.51.100.7"], "198.51.100.7"),
        (["198.51.100.7, 10.9.9.9"], "198.51.100.7"),
        (["1.1.1.1, 198.51.100.7, 10.9.9.9,2001:db8:ffff::3"], "198.51.100.7"),
        (["10.5.5.5, 10.9.9.9"], "10.5.5.5"),
        (["198.51.100.7:4711"], "198.51.100.7"),
        (["[2001:db8::7]:4711"], "2001:db8::7"),
        (["[2001:db8::7]"], "2001:db8::7"),
        (["::ffff:198.51.100.7"], "198.51.100.7"),
        (["1.1.1.1, unknown, 10.9.9.9"], "10.9.9.9"),
        (["1.1.1.1, "], "10.0.0.1"),
        (["1.1.1.1, nonsense\t\x00"], "10.0.0.1"),
    ],
)
def test_the_rightmost_that_no_trusted_proxy_has_is_the_caller(headers, address):
    assert caller("10.0.0.1", *headers) == address


def test_who_is_not_trusted_is_not_believed():
    assert caller("198.51.100.7", "1.1.1.1") == "198.51.100.7"
    assert caller("10.0.0.1", "1.1.1.1", trusted=()) == "10.0.0.1"
    assert not Callers(PROXIES, "Forwarded").trusts(parse_address("11.0.0.1"))


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        (["for=198.51.100.7"], "198.51.100.7"),
        (["for=1.1.1.1, For=198.51.100.7;proto=https;by=10.0.0.1"], "198.51.100.7"),
        (['proto=http; for="[2001:db8::7]:4711"'], "2001:db8::7"),
        (['for="198.51.100.7:80"'], "198.51.100.7"),
        (["for=1.1.1.1, for=_hidden"], "10.0.0.1"),
        (["for=1.1.1.1, proto=https"], "10.0.0.1"),
        (['for="1.1.1.1, for=198.51.100.7'], "198.51.100.7"),
        (["198.51.100.7"], "10.0.0.1"),
    ],
)
def test_the_standard_header_is_read_where_it_is_the_one(headers, address):
    assert caller("10.0.0.1", *headers, header="Forwarded") == address
