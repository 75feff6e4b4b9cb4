"""Text for people: nothing that steers a terminal, or that it does not show."""

from __future__ import annotations

import json

import pytest

from streamer.core.printable import printable, printable_json, printable_lines

EVIL = "\x1b[31m \x1b]0;title\x07 \x00 \x7f \x9b31m \u202e \u2066 \u200b \u2028 \ufeff \U000e0001 \r\n\t"


@pytest.mark.parametrize("text", ["", "plain", "grün 日本 😀", "a 'quote' \\ back"])
def test_what_can_be_shown_is_shown_as_it_is(text):
    assert printable(text) == printable_lines(text) == text
    assert printable_json(json.dumps(text, ensure_ascii=False).encode()).decode() == json.dumps(
        text, ensure_ascii=False
    )


def test_what_a_terminal_might_obey_is_written_as_an_escape():
    shown = printable(EVIL + "\ud800")
    assert shown.isprintable()
    assert shown.startswith("\\x1b[31m ")
    for escape in (
        "\\x00",
        "\\x7f",
        "\\x9b",
        "\\u202e",
        "\\u2066",
        "\\u200b",
        "\\u2028",
        "\\U000e0001",
        "\\r\\n\\t",
        "\\ud800",
    ):
        assert escape in shown
    lines = printable_lines("one \x1b\ntwo \u202e")
    assert lines == "one \\x1b\ntwo \\u202e"


def test_json_stays_the_same_json():
    value = {EVIL: [EVIL, "grün", 1]}
    for indent in (None, 2):
        data = printable_json(json.dumps(value, ensure_ascii=False, indent=indent).encode())
        assert json.loads(data) == value
        assert all(line.isprintable() for line in data.decode().split("\n"))
        assert "grün" in data.decode()
