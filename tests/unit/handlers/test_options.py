from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from streamer.core.units import parse_duration, parse_size
from streamer.handlers import options
from streamer.handlers.http_answers import RETRY_STATUSES

ALL = {"delay": options.DELAY, "command": options.COMMAND, "http": options.HTTP}


@pytest.mark.parametrize(
    ("schema", "given"),
    [
        (options.DELAY, {"delay": "300ms"}),
        (options.COMMAND, {"argv": ["./resize.sh"]}),
        (options.COMMAND, {"argv": ["a"], "env": {"A": "b"}, "inherit_env": ["C"], "timeout": "5s", "cwd": "x"}),
        (options.HTTP, {"url": "https://example.com", "headers": {"A": "b"}, "retry_statuses": [500]}),
    ],
)
def test_what_the_handlers_understand_is_let_through(schema, given):
    Draft202012Validator(schema).validate(given)


@pytest.mark.parametrize(
    ("schema", "given"),
    [
        (options.COMMAND, {}),
        (options.COMMAND, {"argv": []}),
        (options.COMMAND, {"argv": [""]}),
        (options.COMMAND, {"argv": "ls -l"}),
        (options.COMMAND, {"argv": ["a"], "env": {"A=B": "c"}}),
        (options.COMMAND, {"argv": ["a"], "shell": True}),
        (options.HTTP, {}),
        (options.HTTP, {"url": "ftp://example.com"}),
        (options.HTTP, {"url": "http://example.com", "method": "post"}),
        (options.HTTP, {"url": "http://example.com", "retry_statuses": [200]}),
    ],
)
def test_what_the_handlers_do_not_understand_is_refused(schema, given):
    assert not Draft202012Validator(schema).is_valid(given)


@pytest.mark.parametrize("name", ALL)
def test_defaults_can_be_read_by_those_who_read_them(name):
    for option in ALL[name]["properties"].values():
        if "default" in option and option.get("format") in ("duration", "size"):
            read = parse_duration if option["format"] == "duration" else parse_size
            assert read(option["default"]) > 0
    assert set(options.HTTP["properties"]["retry_statuses"]["default"]) == RETRY_STATUSES


def test_values_that_may_be_secret_say_so():
    assert options.HTTP["properties"]["headers"]["additionalProperties"]["writeOnly"]
    assert options.COMMAND["properties"]["env"]["additionalProperties"]["writeOnly"]
