import pytest

from streamer.client.address import address, checked_headers


def test_a_made_client_id_is_long_and_new_each_time():
    assert address("ws://h/ws", None).client_id != address("ws://h/ws", None).client_id


def test_a_given_client_id_joins_the_query_and_is_escaped():
    assert address("ws://h/ws?a=1", "x y&z").url == "ws://h/ws?a=1&client_id=x+y%26z"


def test_a_client_id_in_the_address_is_kept():
    assert address("ws://h/ws?client_id=mine&a=1", None)[::2] == ("ws://h/ws?client_id=mine&a=1", "mine")
    assert address("ws://h/ws?client_id=mine", "mine").client_id == "mine"


def test_two_different_client_ids_are_refused():
    with pytest.raises(ValueError, match="only once"):
        address("ws://h/ws?client_id=mine", "yours")


def test_what_is_shown_holds_no_secret():
    assert address("wss://user:pass@h:1/ws?token=t#f", "c").shown == "wss://h:1/ws"


@pytest.mark.parametrize(
    "url",
    ["h:8080", "", "ws:///ws", "ws://h/w s", " ws://h/ws", "ws://h/ws\n", "ws://h:0/ws", "/ws", "ftp://h"],
)
def test_what_is_no_websocket_address_is_refused_with_an_example(url):
    with pytest.raises(ValueError, match="write for example ws://"):
        address(url, None)


@pytest.mark.parametrize("url", ["http://h/ws", "https://h/ws"])
def test_an_address_for_http_is_refused_with_the_one_that_was_meant(url):
    with pytest.raises(ValueError, match="write ws:// instead of http://"):
        address(url, None)


@pytest.mark.parametrize("url", ["ws://user:secret@h:99999/ws?t=secret", "ws://user:secret@h:port/ws", "ws://[::1/ws"])
def test_a_port_or_host_that_can_be_none_is_refused_and_no_secret_shown(url):
    with pytest.raises(ValueError, match="is not an address") as refused:
        address(url, None)
    assert "secret" not in str(refused.value)


def test_an_address_that_is_no_string_is_refused():
    with pytest.raises(TypeError, match="it is bytes"):
        address(b"ws://h/ws", None)


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nY: b"}, {"X": "a\n"}, {"X": "a\x00"}, {"X Y": "a"}, {"X:": "a"}, {"": "a"}, {"X\r\nY": "a"}]
)
def test_a_header_that_would_begin_another_is_refused(headers):
    with pytest.raises(ValueError, match="cannot be sent"):
        checked_headers(headers)


def test_headers_are_taken_as_they_are():
    headers = {"Origin": "https://h", "X-Empty": "", "X-Tab": "a\tb", "X-Letters": "ä"}
    assert checked_headers(headers) == headers
