from __future__ import annotations

from collections import Counter

from streamer.queue.fairness import Capacity, ExpiredLease, FairKey, FairQueue

FREE = (None, None, None)


def place(owner="o", tenant="", action="a", priority=0):
    return FairKey(action, priority, tenant, owner)


def lines_of(*places):
    lines = FairQueue()
    for one in places:
        lines.add(one)
    return lines


def owners(turns):
    return [one.owner for one in turns]


def test_ten_thousand_of_one_owner_delay_anothers_one_by_one_turn():
    lines = FairQueue()
    lines.add(place("greedy"), 10_000)
    assert owners(lines.take(50, Capacity(*FREE))) == ["greedy"] * 50
    lines.add(place("modest"))
    assert "modest" in owners(lines.take(2, Capacity(*FREE)))
    assert len(lines.take(20_000, Capacity(*FREE))) == 10_000 - 51
    assert not lines.fits(Capacity(*FREE))


def test_a_tenant_with_ten_thousand_owners_has_the_share_of_one_tenant():
    lines = lines_of(*(place(f"o{n}", "crowd") for n in range(10_000)))
    lines.add(place("single", "calm"), 100)
    assert Counter(one.tenant for one in lines.take(100, Capacity(*FREE))) == {"crowd": 50, "calm": 50}


def test_a_newcomer_goes_before_anybodys_second_turn():
    lines = FairQueue()
    for owner in "abc":
        lines.add(place(owner), 5)
    assert owners(lines.take(1, Capacity(*FREE))) == ["a"]
    lines.add(place("new"))
    assert owners(lines.take(4, Capacity(*FREE))) == ["b", "c", "a", "new"]


def test_turns_go_on_where_the_last_claim_ended():
    lines = FairQueue()
    for owner in "abc":
        lines.add(place(owner), 5)
    taken = [one for _ in range(15) for one in owners(lines.take(1, Capacity(*FREE)))]
    assert taken == list("abc") * 5


def test_who_is_taken_out_loses_one_record_and_nobodys_turn_is_over():
    lines = lines_of(place("a"), place("a"), place("b"))
    lines.remove(place("a"))
    assert owners(lines.take(1, Capacity(*FREE))) == ["a"]
    lines.remove(place("b"))
    assert place("b") not in lines
    assert lines.take(1, Capacity(*FREE)) == []


def test_a_place_is_there_as_long_as_anybody_waits_in_it():
    lines = lines_of(place("a", "t"))
    assert place("a", "t") in lines
    assert place("a", "u") not in lines
    assert place("a", "t", priority=1) not in lines


def test_priorities_go_from_high_to_low_and_what_lapsed_before_what_waits():
    lines = lines_of(place("low", priority=-1), place("mid"), place("high", priority=3))
    expired = [ExpiredLease(2.0, 2, "a", 0, ""), ExpiredLease(1.0, 1, "a", 0, ""), ExpiredLease(5.0, 3, "a", 7, "")]
    turns = lines.take(10, Capacity(*FREE), expired)
    assert [one.record if isinstance(one, ExpiredLease) else one.owner for one in turns] == [
        3,
        "high",
        1,
        2,
        "mid",
        "low",
    ]


def test_the_limit_counts_what_lapsed():
    assert len(lines_of(place()).take(1, Capacity(*FREE), [ExpiredLease(1.0, 1, "a", 0, "")])) == 1
    assert lines_of(place()).take(0, Capacity(*FREE), [ExpiredLease(1.0, 1, "a", 0, "")]) == []


def test_an_action_without_headroom_holds_up_neither_others_nor_lower_priorities():
    lines = lines_of(place("a", action="slow", priority=5), place("b", action="slow", priority=5), place("c"))
    capacity = Capacity({"slow": 1}, None, None)
    assert owners(lines.take(10, capacity)) == ["a", "c"]
    assert not lines.fits(capacity)
    assert lines.fits(Capacity({"slow": 1}, None, None))


def test_a_request_whose_lease_expired_takes_a_free_slot():
    capacity = Capacity({"a": 1}, None, None)
    leases = [ExpiredLease(1.0, 1, "a", 0, ""), ExpiredLease(1.0, 2, "a", 0, "")]
    assert len(lines_of(place()).take(10, capacity, leases)) == 1


def test_tenants_at_their_limit_are_passed_over_and_are_the_next_who_are_served():
    lines = FairQueue()
    for tenant in "xyz":
        lines.add(place(tenant, tenant), 4)
    assert owners(lines.take(4, Capacity(None, 2, {"x": 2}))) == ["y", "z", "y", "z"]
    assert not lines.fits(Capacity(None, 0, None))
    assert owners(lines.take(2, Capacity(None, 2, {}))) == ["x", "y"]


def test_a_tenants_limit_is_shared_by_its_actions_and_records_without_a_tenant_have_none():
    lines = lines_of(place("o", "t", "a"), place("o", "t", "b"), place("o", "t", "a"))
    lines.add(place("free"), 3)
    turns = lines.take(10, Capacity(None, 2, None))
    assert Counter(one.tenant for one in turns) == {"t": 2, "": 3}


def test_a_tenant_that_another_action_has_filled_in_the_same_round_is_passed_over():
    lines = lines_of(place("x", "x", "a"), place("y", "y", "a"), place("y", "y", "b"))
    turns = lines.take(10, Capacity(None, 1, None))
    assert [(one.action, one.tenant) for one in turns] == [("a", "x"), ("b", "y")]
