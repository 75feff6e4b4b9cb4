"""The request in front of a connection, read from bytes."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.transports.answers import Answered, encode_answer
from streamer.transports.http_request import MAX_HEAD, HttpRequest, RequestReader


def read(data: bytes) -> HttpRequest | Answered | None:
    return RequestReader().feed(data)


def test_a_request_comes_in_pieces():
    reader = RequestReader()
    text = b"GET /ws?a=1 HTTP/1.1\r\nHost: x\r\nX-Two: 1\r\nx-two: 2\r\n\r\nrest"
    for place in range(len(text) - 5):
        assert reader.feed(text[place : place + 1]) is None
    request = reader.feed(text[-5:])
    assert (request.method, request.target, request.version) == ("GET", "/ws?a=1", "1.1")
    assert request.headers.getall("X-TWO") == ["1", "2"]
    assert not request.has_body
    assert reader.rest == b"rest"


@pytest.mark.parametrize(
    ("target", "path"),
    [
        (b"/ws?client_id=me", "/ws?client_id=me"),
        (b"http://example.com:80/ws?client_id=me", "/ws?client_id=me"),
        (b"HTTPS://example.com/", "/"),
        (b"wss://example.com", "/"),
        (b"ws://example.com?a=1", "/?a=1"),
        (b"//evil.example/ws", "//evil.example/ws"),
    ],
)
def test_an_absolute_target_is_its_path(target, path):
    assert read(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target).target == path


@pytest.mark.parametrize("target", [b"ws", b"*", b"ftp://example.com/ws", b"http:///ws", b"example.com:80", b"?a"])
def test_another_target_is_refused(target):
    answer = read(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % target)
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert "target" in answer.body


def test_options_may_ask_about_the_server_and_connect_names_a_host():
    assert read(b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").target == "*"
    assert read(b"CONNECT example.com:80 HTTP/1.1\r\nHost: x\r\n\r\n").method == "CONNECT"


@pytest.mark.parametrize("host", [b"", b"x", b"example.com:8080", b"[::1]:80", b"127.0.0.1", b"a_b"])
def test_a_host_is_taken(host):
    assert isinstance(read(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host), HttpRequest)


@pytest.mark.parametrize(
    "headers", [b"", b"Host: a\r\nHost: a\r\n", b"Host: a b\r\n", b"Host: a/b\r\n", b"Host: a, b@c\r\n"]
)
def test_no_host_two_hosts_and_what_is_none_are_refused(headers):
    answer = read(b"GET / HTTP/1.1\r\n%b\r\n" % headers)
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert "Host" in answer.body


def test_http_1_0_needs_no_host():
    assert read(b"GET /healthz HTTP/1.0\r\n\r\n").version == "1.0"
    assert read(b"GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n").status == HTTPStatus.BAD_REQUEST


def test_another_version_is_refused():
    assert read(b"GET / HTTP/2.0\r\nHost: x\r\n\r\n").status == HTTPStatus.HTTP_VERSION_NOT_SUPPORTED


@pytest.mark.parametrize("head", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_a_body_is_announced(head):
    assert read(b"POST / HTTP/1.1\r\nHost: x\r\n%b\r\n" % head).has_body


def test_a_head_without_end_is_refused_at_its_limit():
    answer = read(b"GET / HTTP/1.1\r\nX: " + b"y" * MAX_HEAD)
    assert answer.status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    assert str(MAX_HEAD) in answer.body


@pytest.mark.parametrize("piece", [MAX_HEAD * 2, 4096, 1000])
def test_a_head_that_is_whole_is_held_to_the_same_limit(piece):
    """The parser minds it only while the end is missing."""

    def answer_to(data):
        reader, answer = RequestReader(), None
        for place in range(0, len(data), piece):
            answer = reader.feed(data[place : place + piece])
            if answer is not None:
                return answer
        return answer

    head = b"GET / HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n"
    room = MAX_HEAD - len(head % b"")
    assert isinstance(answer_to(head % (b"y" * room) + b"body" * 1000), HttpRequest)
    assert answer_to(head % (b"y" * (room + 1))).status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


def test_empty_lines_before_a_request_are_passed_over():
    reader = RequestReader()
    assert [reader.feed(piece) for piece in (b"\r\n", b"\r", b"\n")] == [None, None, None]
    assert reader.feed(b"\r\nGET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").target == "/healthz"


LINES = st.text(max_size=100).map(lambda text: f"GET {text} HTTP/1.1\r\nHost: x\r\n\r\n".encode())


@given(st.binary(max_size=300) | LINES)
def test_whatever_comes_gets_an_answer_without_python_in_it(data):
    answer = read(data + b"\r\n\r\n")
    if isinstance(answer, Answered):
        text = encode_answer(answer)
        assert text.startswith(b"HTTP/1.1 ")
        assert b"b'" not in text
        assert b"bytearray" not in text


def test_an_answer_says_how_long_it_is_and_that_nothing_follows():
    head, _, body = encode_answer(Answered(HTTPStatus.OK, "ö\n", (("Cache-Control", "no-cache"),))).partition(
        b"\r\n\r\n"
    )
    assert body.decode() == "ö\n"
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert {"Content-Length: 3", "Connection: close", "Cache-Control: no-cache"} <= set(lines)
    assert "Cache-Control: no-store" not in lines


def test_an_answer_to_head_has_the_headers_alone():
    answer = Answered(HTTPStatus.OK, "ok\n")
    assert encode_answer(answer, "HEAD").endswith(b"Content-Length: 3\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize("status", [HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED])
def test_an_answer_without_a_body_announces_none(status):
    text = encode_answer(Answered(status, "not sent"))
    assert b"Content-" not in text
    assert text.endswith(b"\r\n\r\n")
