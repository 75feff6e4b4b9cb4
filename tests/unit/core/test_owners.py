"""Owners whose names tell nothing of the secret that they are made of."""

from __future__ import annotations

import re

from streamer.core.owners import OwnerNames, new_key


def test_a_client_has_the_same_name_each_time_and_others_have_other_ones():
    key = new_key()
    names = {OwnerNames(key).client(secret) for secret in ("a", "b", "ä" * 128, "a")}
    assert len(names) == 3
    assert all(re.fullmatch("client:[a-z2-7]{16}", name) for name in names)


def test_without_the_key_a_name_cannot_be_made():
    assert OwnerNames(new_key()).client("a") != OwnerNames(new_key()).client("a")


def test_a_client_that_calls_itself_like_an_address_is_not_that_address():
    names = OwnerNames(new_key())
    assert names.address("192.0.2.7") != names.client("192.0.2.7").removeprefix("client:")
