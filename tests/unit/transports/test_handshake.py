"""Whether a connection may begin: decided from the request alone."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from streamer.config.settings import ServerSettings
from streamer.transports.answers import Answered
from streamer.transports.client_files import ClientFile
from streamer.transports.handshake import Accepted, decide, lists, origin_allowed
from streamer.transports.http_request import HttpRequest

UPGRADE = {
    "Upgrade": "WebSocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MDAwMDAwMDAwMDAwMDAwMA==",
}


def decided(target="/ws", headers=None, *, open_connections=0, draining=False, method="GET", version="1.1", **settings):
    return decide(
        HttpRequest(method, target, CIMultiDict({**UPGRADE, **(headers or {})}), version),
        ServerSettings(**settings),
        open_connections=open_connections,
        draining=draining,
    )


def test_a_good_request_is_accepted():
    assert decided() == Accepted(None)
    assert decided("/ws?client_id=abc") == Accepted("abc")
    assert decided("/ws?client_id=%C3%A9+x&other=1") == Accepted("é x")
    assert decided("/live", path="/live") == Accepted(None)


@pytest.mark.parametrize("target", ["/", "/ws/", "/wsx", "/WS", "//ws", "/ws%20", "http://x/ws", "*", "?"])
def test_another_path_is_not_found_and_the_answer_names_the_right_one(target):
    answer = decided(target)
    assert answer.status == HTTPStatus.NOT_FOUND
    assert "/ws" in answer.body


@pytest.mark.parametrize("target", ["/healthz", "/healthz?verbose"])
def test_health_is_told_without_an_upgrade(target):
    assert decided(target, {"Upgrade": ""}).status == HTTPStatus.OK
    assert decided(target, {"Upgrade": ""}, draining=True).status == HTTPStatus.SERVICE_UNAVAILABLE
    assert decided(target, max_connections=0).status == HTTPStatus.OK


def test_a_browser_that_only_looks_is_told_to_upgrade():
    answer = decided(headers={"Upgrade": ""})
    assert answer.status == HTTPStatus.UPGRADE_REQUIRED
    assert ("Upgrade", "websocket") in answer.headers


@pytest.mark.parametrize("value", ["WebSocket", "h2c, websocket", " websocket ,h2c"])
def test_an_upgrade_may_name_other_protocols_as_well(value):
    assert decided(headers={"Upgrade": value}) == Accepted(None)


@pytest.mark.parametrize("version", ["", "8", "14", "x"])
def test_another_version_is_told_the_one_that_is_spoken(version):
    answer = decided(headers={"Sec-WebSocket-Version": version})
    assert answer.status == HTTPStatus.UPGRADE_REQUIRED
    assert answer.headers == (("Sec-WebSocket-Version", "13"),)


FILES = {"/streamer.js": ClientFile("export {};", '"abc"')}


def served(headers=None, target="/streamer.js", **settings):
    answer = decide(
        HttpRequest("GET", target, CIMultiDict(headers or {})),
        ServerSettings(**settings),
        open_connections=10**6,
        draining=True,
        client_files=FILES,
    )
    return answer, CIMultiDict(answer.headers)


def test_the_client_is_served_beside_the_web_socket_even_while_draining():
    answer, headers = served()
    assert (answer.status, answer.body) == (HTTPStatus.OK, "export {};")
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-cache"
    assert served(target="/streamer.js?v=2")[0].status == HTTPStatus.OK
    assert served(target="/streamer.ts")[0].status == HTTPStatus.NOT_FOUND
    assert decided("/streamer.js").status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("known", ['"abc"', 'W/"abc"', '"x", "abc"', "*"])
def test_a_browser_that_has_the_client_already_is_not_sent_it_again(known):
    answer, headers = served({"If-None-Match": known})
    assert (answer.status, answer.body, headers["ETag"]) == (HTTPStatus.NOT_MODIFIED, "", '"abc"')
    assert served({"If-None-Match": '"abcd"'})[0].status == HTTPStatus.OK


@pytest.mark.parametrize(
    ("origin", "allowed", "told", "varies"),
    [
        (None, (), "*", False),
        ("https://a.example", (), "*", False),
        ("https://a.example", ("*",), "*", False),
        ("https://a.example", ("https://b.example", "https://a.example:443"), "https://a.example", True),
        ("https://a.example", ("https://b.example",), None, True),
        ("https://b.example/\udcff", ("https://b.example",), None, True),
        (None, ("https://b.example",), None, True),
    ],
)
def test_the_origins_that_may_connect_may_import_the_client(origin, allowed, told, varies):
    _, headers = served({} if origin is None else {"Origin": origin}, allowed_origins=allowed)
    assert headers.get("Access-Control-Allow-Origin") == told
    assert (headers.get("Vary") == "Origin") is varies


def test_while_draining_nobody_new_comes_in():
    assert decided(draining=True).status == HTTPStatus.SERVICE_UNAVAILABLE


def test_one_connection_too_many_is_refused():
    assert decided(open_connections=1, max_connections=2) == Accepted(None)
    assert decided(open_connections=2, max_connections=2).status == HTTPStatus.TOO_MANY_REQUESTS


@pytest.mark.parametrize(
    "query",
    [
        "client_id=",
        "client_id=" + "x" * 129,
        "client_id=a%0Ab",
        "client_id=%00",
        "client_id=a&client_id=b",
        "client_id=%ff",
        "client_id=%ed%a0%80",
        "x=%ff",
    ],
)
def test_a_client_id_that_is_none_is_refused(query):
    assert decided(f"/ws?{query}").status == HTTPStatus.BAD_REQUEST


def test_the_longest_client_id_is_accepted():
    assert decided("/ws?client_id=" + "x" * 128) == Accepted("x" * 128)


def test_a_query_that_is_no_text_is_refused():
    assert decided("/ws?client_id=%ff").status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("target", ["/healthz", "/ws", "*", "/nowhere"])
def test_options_says_which_methods_there_are(target):
    answer = decided(target, method="OPTIONS")
    assert answer.status == HTTPStatus.NO_CONTENT
    assert answer.headers == (("Allow", "GET, HEAD, OPTIONS"),)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "BREW", "get"])
@pytest.mark.parametrize("target", ["/healthz", "/ws", "/nowhere"])
def test_another_method_is_not_allowed_and_the_answer_names_those_that_are(method, target):
    answer = decided(target, method=method)
    assert answer.status == HTTPStatus.METHOD_NOT_ALLOWED
    assert answer.headers == (("Allow", "GET, HEAD, OPTIONS"),)


def test_head_is_answered_as_get_is_and_upgrades_nothing():
    assert decided("/healthz", method="HEAD") == decided("/healthz")
    assert decided("/ws", method="HEAD").status == HTTPStatus.UPGRADE_REQUIRED


def test_http_1_0_is_answered_but_cannot_upgrade():
    assert decided("/healthz", version="1.0").status == HTTPStatus.OK
    answer = decided("/ws", version="1.0")
    assert answer.status == HTTPStatus.UPGRADE_REQUIRED
    assert "proxy_http_version" in answer.body


@pytest.mark.parametrize("keys", [[], ["short"], ["not base64!"], ["MDAwMDAwMDAwMDAwMDAwMA=="] * 2, ["\udcff"]])
def test_a_key_that_is_none_is_refused(keys):
    headers = CIMultiDict(UPGRADE)
    del headers["Sec-WebSocket-Key"]
    for key in keys:
        headers.add("Sec-WebSocket-Key", key)
    answer = decide(HttpRequest("GET", "/ws", headers), ServerSettings(), open_connections=0, draining=False)
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert "Sec-WebSocket-Key" in answer.body


def test_an_upgrade_has_no_body_and_says_that_it_is_one():
    assert decided(headers={"Content-Length": "5"}).status == HTTPStatus.BAD_REQUEST
    assert decided(headers={"Transfer-Encoding": "chunked"}).status == HTTPStatus.BAD_REQUEST
    assert decided(headers={"Content-Length": "0"}) == Accepted(None)
    assert decided(headers={"Connection": "keep-alive"}).status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    ("origin", "allowed", "expected"),
    [
        ("https://a.example", (), True),
        ("https://a.example", ("*",), True),
        ("https://a.example", ("https://a.example",), True),
        ("https://A.example", ("https://a.example:443",), True),
        ("http://a.example:80", ("http://a.example",), True),
        ("https://a.example", ("https://b.example", "https://a.example"), True),
        ("http://a.example", ("https://a.example",), False),
        ("https://a.example:8443", ("https://a.example",), False),
        ("https://a.example.evil.example", ("https://a.example",), False),
        ("https://evil-a.example", ("https://a.example",), False),
        ("https://sub.a.example", ("https://a.example",), False),
        ("https://a.example:x", ("https://a.example",), False),
        ("http://[", ("https://a.example",), False),
        ("null", ("https://a.example",), False),
        ("null", ("null",), True),
        ("", ("https://a.example",), False),
    ],
)
def test_an_origin_is_allowed_by_scheme_host_and_port(origin, allowed, expected):
    assert origin_allowed(origin, allowed) is expected
    answer = decided(headers={"Origin": origin}, allowed_origins=allowed)
    assert (answer == Accepted(None)) is expected
    assert expected or answer.status == HTTPStatus.FORBIDDEN


def test_what_sends_no_origin_is_no_browser_and_allowed():
    assert decided(allowed_origins=("https://a.example",)) == Accepted(None)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["Upgrade"], True),
        (["keep-alive, Upgrade"], True),
        (["keep-alive", "upgrade"], True),
        (["close"], False),
        (["not-upgrade"], False),
        ([], False),
    ],
)
def test_upgrade_is_found_among_the_connection_options(values, expected):
    assert lists(values, "upgrade") is expected


@given(
    st.text(max_size=60),
    st.dictionaries(st.sampled_from(["Origin", "Upgrade", "Sec-WebSocket-Version"]), st.text(max_size=30)),
    st.sampled_from([(), ("https://a.example",), ("http://[",)]),
)
def test_whatever_a_client_writes_is_decided(query, headers, allowed):
    answer = decided("/ws?" + query, headers, allowed_origins=allowed)
    assert isinstance(answer, Accepted | Answered)
