"""What `streamer call` makes of its arguments."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import click
import pytest

from streamer.cli.payload import metadata_of, payload_of


def test_no_payload_is_null():
    assert payload_of(None) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": [1, 2.5]}', {"a": [1, 2.5]}),
        ("null", None),
        ('"text"', "text"),
        ("17", 17),
        ("[]", []),
        ("é".join('""'), "é"),
    ],
)
def test_a_payload_is_any_json(text, value):
    assert payload_of(text) == value


def test_a_payload_is_read_from_a_file(tmp_path):
    file = tmp_path / "payload.json"
    file.write_text('{"name": "Zoë"}', encoding="utf-8-sig")
    assert payload_of(f"@{file}") == {"name": "Zoë"}


def test_a_payload_is_read_from_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b'{"a": 1}')))
    assert payload_of("-") == {"a": 1}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{'a': 1}", "the text is not JSON"),
        ("", "the text is not JSON"),
        ("NaN", "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ('{"a": -1e400}', "-1e400 is too large for a number"),
        ("hello", "a string needs quotes"),
        ("[" * 100_000, "the text is nested too deeply"),
    ],
)
def test_a_payload_that_is_not_json_is_a_usage_error_that_says_why(text, said):
    with pytest.raises(click.BadParameter, match=said):
        payload_of(text)


def test_a_payload_file_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(click.BadParameter, match=r"nothing\.json: No such file"):
        payload_of(f"@{tmp_path}/nothing.json")


def test_a_payload_file_that_is_not_utf8_is_named(tmp_path):
    file = tmp_path / "latin.json"
    file.write_bytes(b'"\xe9"')
    with pytest.raises(click.BadParameter, match=r"latin\.json is not UTF-8"):
        payload_of(f"@{file}")


def test_metadata_is_made_of_pairs():
    assert metadata_of(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    assert metadata_of([]) is None


@pytest.mark.parametrize(
    ("pairs", "said"), [(["a"], "must be key=value"), (["=1"], "must be key=value"), (["a=1", "a=2"], "twice")]
)
def test_metadata_that_is_no_pair_or_stands_twice_is_a_usage_error(pairs, said):
    with pytest.raises(click.BadParameter, match=said):
        metadata_of(pairs)
