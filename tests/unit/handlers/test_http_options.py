"""What is wrong with an endpoint's URL and headers is reported by `check` and at start, and no secret is shown."""

from __future__ import annotations

import pytest

from streamer.contracts.components import BuildContext
from streamer.core.errors import StartError
from streamer.handlers.http import build
from streamer.handlers.http_options import problems

URL = "https://api.example.com/x"


def reported(url=URL, **headers):
    return [(problem.place, problem.message) for problem in problems({"url": url, "headers": headers})]


@pytest.mark.parametrize(
    "value", ["Bearer s3cret\n", "s3cret\r\nX: y", "\ns3cret", "s3cret\x00", "s3cret\x7f", "s3cret\udc80"]
)
def test_a_value_that_no_header_may_have_is_named_by_its_header_alone(value):
    ((place, message),) = reported(Authorization=value)
    assert place == ("headers", "Authorization")
    assert "'Authorization'" in message
    assert "s3cret" not in message


@pytest.mark.parametrize("value", ["Bearer abc", "", "a\tb", "Grüße"])
def test_values_that_headers_may_have_pass(value):
    assert reported(Authorization=value) == []


@pytest.mark.parametrize("name", ["", "X Y", "X:Y", "X\nY", "Schlüssel"])
def test_a_name_that_no_header_may_have_is_reported(name):
    ((place, message),) = reported(**{name: "x"})
    assert place == ("headers", name)
    assert "is not a valid header name" in message


@pytest.mark.parametrize("name", ["Content-Length", "transfer-encoding", "CONNECTION"])
def test_headers_of_the_transfer_itself_are_refused(name):
    ((_, message),) = reported(**{name: "1"})
    assert "the HTTP client sets the header" in message


def test_one_header_written_in_two_ways_is_reported():
    ((place, message),) = reported(Accept="a", accept="b")
    assert place == ("headers", "accept")
    assert "'Accept' and 'accept' are the same;" in message


@pytest.mark.parametrize("url", [URL + "?key=s3cret\n", URL + "/s3cret x", "https://s3cret\x00/"])
def test_a_url_with_a_line_break_or_a_space_is_reported_without_showing_it(url):
    ((place, message),) = reported(url)
    assert place == ("url",)
    assert "line break" in message
    assert "s3cret" not in message


async def test_a_service_does_not_start_with_such_a_header(tmp_path):
    options = {"url": URL, "headers": {"Authorization": "Bearer s3cret\n"}}
    with pytest.raises(StartError, match=r"header 'Authorization' contains a line break") as caught:
        async with build(options, BuildContext(base_dir=tmp_path)):
            raise AssertionError
    assert "s3cret" not in str(caught.value)
