"""Messages in parts: cut so that each fits, and joined as they were."""

from __future__ import annotations

import json
import random

import msgspec
import pytest

from streamer.core.parts import MARK, Joiner, TooLongError, split

LETTERS = ["a", '"', "\\", "\n", "\x01", "ü", "€", "😀", " "]


def message_of(seed, size):
    letters = random.Random(seed)
    text = "".join(letters.choice(LETTERS[: letters.randint(1, len(LETTERS))]) for _ in range(size))
    return msgspec.json.encode({"type": "complete", "request_id": 'r"\u00fc' * 20, "seq": 7, "result": text})


def test_what_fits_stays_whole():
    message = message_of(1, 100)
    assert split(message, len(message)) == [message]


@pytest.mark.parametrize("seed", range(30))
def test_every_part_fits_says_whose_it_is_and_all_together_are_the_message(seed):
    limit = random.Random(seed).randint(2000, 9000)
    message = message_of(seed, 20_000)
    parts = split(message, limit)
    assert len(parts) > 1
    assert max(map(len, parts)) <= limit
    read = [json.loads(part) for part in parts]
    assert all(part.startswith(MARK) for part in parts)
    assert {(one["type"], one["request_id"], one["seq"], one["count"]) for one in read} == {
        ("part", 'r"\u00fc' * 20, 7, len(parts))
    }
    assert len({one["part_of"] for one in read}) == 1
    assert [one["index"] for one in read] == list(range(len(parts)))
    assert "".join(one["data"] for one in read).encode() == message
    joiner = Joiner()
    assert [joiner.add(part) for part in parts[:-1]] == [None] * (len(parts) - 1)
    assert joiner.add(parts[-1]).encode() == message


def test_a_message_without_request_and_seq_has_parts_without_them():
    part = json.loads(split(b'{"type":"response","data":"' + b"x" * 5000 + b'"}', 3000)[0])
    assert "request_id" not in part
    assert "seq" not in part


def test_parts_may_come_in_any_order_twice_and_between_those_of_others():
    one, other = (message_of(seed, 9000) for seed in (1, 2))
    frames = [*split(one, 3000), *split(other, 3000)] * 2
    random.Random(5).shuffle(frames)
    joiner = Joiner()
    wholes = [whole for frame in frames if (whole := joiner.add(frame)) is not None]
    assert {whole.encode() for whole in wholes} <= {one, other}
    assert len(wholes) >= 2


@pytest.mark.parametrize(
    "nonsense",
    [
        b'{"type":"part"',
        b'{"type":"part"}',
        b'{"type":"part","part_of":"a","index":3,"count":3,"data":"x"}',
        b'{"type":"part","part_of":"a","index":-1,"count":3,"data":"x"}',
        b'{"type":"response","part_of":"a","index":0,"count":1,"data":"x"}',
    ],
)
def test_nonsense_is_passed_over(nonsense):
    assert Joiner().add(nonsense) is None


def test_a_message_that_would_be_too_long_is_refused_by_name_and_forgotten():
    joiner = Joiner(max_size=4000)
    message = msgspec.json.encode({"type": "complete", "request_id": "r1", "result": "x" * 9000})
    one, two, *_ = split(message, 3000)
    joiner.add(one)
    with pytest.raises(TooLongError, match="more than 4000 characters") as caught:
        joiner.add(two)
    assert caught.value.request_id == "r1"
    assert joiner._open == {}


def test_a_message_that_says_it_has_more_parts_than_characters_is_refused():
    with pytest.raises(TooLongError):
        Joiner(max_size=10).add(b'{"type":"part","part_of":"a","index":0,"count":11,"data":"x"}')


def test_of_too_many_messages_at_a_time_the_oldest_is_given_up():
    joiner = Joiner(max_open=2)
    parts = [split(message_of(seed, 5000), 3000) for seed in range(3)]
    for frames in parts:
        joiner.add(frames[0])
    for frames in parts[1:]:
        whole = [joiner.add(frame) for frame in frames[1:]][-1]
        assert whole is not None
    assert [joiner.add(frame) for frame in parts[0][1:]][-1] is None
