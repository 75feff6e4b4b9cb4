"""Origins that no browser sends, and hosts that nothing listens on, are problems of the file."""

import pytest

from streamer.config.addresses import host_problem, origin_problem
from streamer.core.errors import ConfigError


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "https://app.example.com",
        "HTTPS://App.Example.com",
        "http://localhost:3000",
        "http://[::1]:8080",
        "https://app.example.com/",
        "https://xn--bcher-kva.example",
        "chrome-extension://abcdefghijklmnop",
        "capacitor://localhost",
    ],
)
def test_origins_that_a_browser_may_send(origin):
    assert origin_problem(origin) is None


@pytest.mark.parametrize(
    ("origin", "says"),
    [
        ("https://*.example.com", "wildcard"),
        ("app.example.com", "write https://app.example.com"),
        ("localhost:3000", "write https://localhost:3000"),
        ("https://a.example, https://b.example", "not a single origin"),
        ("https://a.example https://b.example", "not a single origin"),
        ("https://a.example\n", "not a single origin"),
        ("https://app.example.com/app", "write https://app.example.com"),
        ("https://app.example.com:8443?x=1", "write https://app.example.com:8443"),
        ("https://app.example.com#x", "write https://app.example.com"),
        ("https://user@app.example.com", "write https://app.example.com"),
        ("http://user@[::1]:80", "write http://[::1]:80"),
        ("wss://app.example.com", "https://app.example.com"),
        ("ws://app.example.com", "http://app.example.com"),
        ("https://b\u00fccher.example", "write https://xn--bcher-kva.example"),
        ("https://\u00fc..example", "starts with xn--"),
        ("https://app.example.com:99999", "is not an origin"),
        ("https://[::1", "is not an origin"),
        ("https://", "has no host"),
        ("file://", "has no host"),
        ("", "has no scheme"),
    ],
)
def test_origins_that_no_browser_sends(origin, says):
    problem = origin_problem(origin)
    assert problem is not None
    assert says in problem


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "::1", "0.0.0.0", "fe80::1%eth0", "localhost", "my_host", "a.example.", "web-1.internal"]
)
def test_hosts_that_may_be_listened_on(host):
    assert host_problem(host) is None


@pytest.mark.parametrize(
    ("host", "says"),
    [
        ("http://127.0.0.1", "not a host"),
        ("127.0.0.1/24", "not a host"),
        ("[::1]", "write ::1"),
        ("127.0.0.1:8080", "server.port"),
        ("999.1.1.1", "four numbers"),
        ("1.2.3", "four numbers"),
        ("my host", "neither"),
        ("*", "neither"),
        ("-a.example", "neither"),
        ("a..b", "neither"),
        ("a" * 64, "neither"),
        (".".join(["a" * 60] * 5), "neither"),
    ],
)
def test_hosts_that_nothing_listens_on(host, says):
    problem = host_problem(host)
    assert problem is not None
    assert says in problem


def test_each_is_a_problem_at_its_place_without_what_the_environment_holds(settings_of):
    text = "version: 1\nserver:\n  host: 1.2.3\n  allowed_origins: [a.example, 'https://b.example', '${SECRET}']\n"
    text += "auth: {use: none, allow_anyone: true}\nactions: {echo: {handler: echo}}\n"
    with pytest.raises(ConfigError) as caught:
        settings_of(text, SECRET="c.example")
    found = [(one.line, one.column, one.code, one.place) for one in caught.value.problems]
    assert found == [
        (3, 9, "bad-value", "server.host"),
        (4, 21, "bad-value", "server.allowed_origins[0]"),
        (4, 53, "bad-value", "server.allowed_origins[2]"),
    ]
    assert "${SECRET}" in str(caught.value.problems[2])


def test_what_is_wrong_already_is_not_said_twice(settings_of):
    text = "version: 1\nserver: {host: 3, allowed_origins: [1]}\nactions: {echo: {handler: echo}}\n"
    with pytest.raises(ConfigError) as caught:
        settings_of(text)
    assert {one.code for one in caught.value.problems} == {"wrong-type"}
