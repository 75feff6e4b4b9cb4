"""What a client keeps for us says nothing to it, and nothing that it makes up is taken."""

from __future__ import annotations

import base64

import pytest

from streamer.core.owners import new_key
from streamer.core.sealed_text import Sealer


@pytest.fixture
def sealer():
    return Sealer(new_key())


@pytest.mark.parametrize("text", ["", "a", "ä" * 40, "x" * 1000])
def test_a_text_comes_back_as_it_was(sealer, text):
    sealed = sealer.seal(text, "me")
    assert sealer.open(sealed, "me") == text
    assert sealed.replace("-", "").replace("_", "").isalnum()


def test_it_cannot_be_read(sealer):
    sealed = sealer.seal("number 4711", "me")
    assert b"4711" not in base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    assert sealed != sealer.seal("number 4712", "me")


@pytest.mark.parametrize("text", ["number 4711", "x" * 100])
def test_each_change_is_noticed(sealer, text):
    whole = base64.urlsafe_b64decode(sealer.seal(text, "me") + "==")
    for place in range(len(whole)):
        changed = bytearray(whole)
        changed[place] ^= 1
        assert sealer.open(base64.urlsafe_b64encode(changed).decode(), "me") is None


def test_somebody_elses_and_another_keys_are_refused(sealer):
    sealed = sealer.seal("a", "me")
    assert sealer.open(sealed, "you") is None
    assert Sealer(new_key()).open(sealed, "me") is None


@pytest.mark.parametrize("bad", ["", "x", "not a cursor", "ä", "A" * 200])
def test_what_was_never_sealed_is_refused(sealer, bad):
    assert sealer.open(bad, "me") is None
