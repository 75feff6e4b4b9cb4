"""Who makes room for whom."""

from __future__ import annotations

import random

import pytest

from streamer.transports.handshake_pool import HandshakePool, PendingHandshake


@pytest.fixture
def gone():
    return []


@pytest.fixture
def visitor(gone):
    def make(house):
        made = PendingHandshake(house, lambda: gone.append(made))
        return made

    return make


def test_the_oldest_of_an_address_makes_room_and_others_stay(visitor, gone):
    room = HandshakePool(100, 2)
    mine, other = [visitor("a") for _ in range(4)], visitor("b")
    for one in (*mine[:2], other, *mine[2:]):
        room.enter(one)
    assert gone == mine[:2]
    assert len(room) == 3


def test_when_all_is_full_the_oldest_of_all_makes_room(visitor, gone):
    room = HandshakePool(2, 2)
    entered = [visitor(house) for house in "abc"]
    for one in entered:
        room.enter(one)
    assert gone == entered[:1]


def test_behind_a_trusted_proxy_only_the_whole_is_bounded(visitor, gone):
    room = HandshakePool(3, 1)
    entered = [visitor(None) for _ in range(4)]
    for one in entered:
        room.enter(one)
    assert gone == entered[:1]


def test_who_has_gone_is_gone_once(visitor, gone):
    room = HandshakePool(2, 1)
    one = visitor("a")
    room.enter(one)
    room.discard(one)
    room.discard(one)
    assert (len(room), gone, room._of_one) == (0, [], {})
    assert not room.push_out_oldest()


def test_a_room_for_one_of_each_is_a_room(visitor, gone):
    room = HandshakePool(1, 1)
    entered = [visitor(house) for house in "aaba"]
    for one in entered:
        room.enter(one)
    assert gone == entered[:3]
    assert len(room) == 1


def test_whatever_happens_the_bounds_hold(visitor, gone, seed):
    choose = random.Random(seed)
    room = HandshakePool(10, 3)
    inside = []
    for _ in range(2000):
        if inside and choose.random() < 0.3:
            room.discard(inside.pop(choose.randrange(len(inside))))
        else:
            one = visitor(choose.choice(["a", "b", "c", "d", "e", None]))
            room.enter(one)
            inside.append(one)
        inside = [one for one in inside if one not in gone]
        assert len(room) == len(inside) <= 10
        assert all(sum(one.address_block == house for one in inside) <= 3 for house in "abcde")
        assert set(room._of_one) == {one.address_block for one in inside} - {None}
    room.empty()
    assert len(room) == 0
