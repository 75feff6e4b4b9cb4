"""Addresses: which count as one, and which are public."""

from __future__ import annotations

import ipaddress

import pytest

from streamer.core.networks import address_block, is_loopback, is_public, parse_address, parse_network


@pytest.mark.parametrize("text", ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "2001:db8::7", "10.1.2.3/8"])
def test_networks_and_addresses_are_read(text):
    assert ipaddress.ip_address(text.partition("/")[0]) in parse_network(text)


@pytest.mark.parametrize("text", ["", "10.0.0.0/33", "300.1.1.1", "example.com", "10.0.0.0/8 ", "::/129"])
def test_what_is_no_network_is_told_with_how_to_write_one(text):
    with pytest.raises(ValueError, match=r"is not a network or an IP address: write it as in 10\.0\.0\.0/8"):
        parse_network(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", None),
        ("", None),
        ("1.2.3.4\r\nX: y", None),
    ],
)
def test_addresses_are_read_plainly(text, address):
    assert parse_address(text) == (None if address is None else ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.7", "::ffff:192.0.2.7", True),
        ("192.0.2.7", "192.0.2.8", False),
    ],
)
def test_an_ipv6_network_counts_as_one_address(first, second, same):
    assert (address_block(parse_address(first)) == address_block(parse_address(second))) is same


@pytest.mark.parametrize(
    "text",
    ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
     "255.255.255.255", "192.0.2.1", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
     "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
     "2001:0:53aa:64c::1", "2001:db8::1"],
)  # fmt: skip
def test_what_is_not_of_the_internet_at_large_is_not_public(text):
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    "text", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101", "2002:101:101::"]
)
def test_the_internet_is_public(text):
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.255.254", "::1", "[::1]", "localhost", "LOCALHOST"])
def test_only_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "0.0.0.0", "::", "10.0.0.1", "8.8.8.8", "localhost.example.com", "127.0.0.1.nip.io", "127.1", "fe80::1"],
)
def test_others_too_or_nobody_knows(host):
    assert not is_loopback(host)
