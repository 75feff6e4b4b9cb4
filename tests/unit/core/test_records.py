from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.errors import LeaseLost, TransitionRefused
from streamer.core.messages import ErrorBody
from streamer.core.records import (
    QUEUED,
    SEQ_STRIDE,
    TERMINAL,
    Abandoned,
    Cancelled,
    Claimed,
    Completed,
    Delivered,
    Failed,
    Progressed,
    Released,
    Renewed,
    RequestRecord,
    Requeued,
    Status,
    abandoned_error,
    advance,
    exhausted,
    first_seq,
)

ERROR = ErrorBody("MINE", "wrong")


def pending(**changes):
    return RequestRecord(
        **{"owner": "o", "id": "r", "action": "a", "created_at": 1, "updated_at": 1, "due_at": 1, **changes}
    )


def claimed(record=None, at=2.0, lease_until=12.0):
    return advance(record or pending(), Claimed(at, "w", lease_until))


def test_a_new_record_waits_under_its_owner_and_id():
    record = pending()
    assert record.key == ("o", "r")
    assert record.status is Status.PENDING
    assert not record.terminal


def test_a_claim_raises_the_fence_counts_the_attempt_and_holds_the_record_for_its_lease():
    record = claimed()
    assert (record.status, record.fence, record.attempts, record.worker) == (Status.PROCESSING, 1, 1, "w")
    assert (record.due_at, record.started_at) == (12.0, 2.0)


def test_a_new_attempt_begins_at_zero_percent():
    record = advance(claimed(), Progressed(3, 1, 5, 50, "half", b"{}"))
    again = claimed(record, at=13.0, lease_until=23.0)
    assert (again.percentage, again.message, again.progress_metadata) == (0.0, "", b"")
    assert again.seq == 5


@pytest.mark.parametrize("record", [pending(due_at=5), claimed(), advance(claimed(), Completed(3, 1, 2, b"{}"))])
def test_what_is_not_due_cannot_be_claimed(record):
    with pytest.raises(TransitionRefused, match="not due"):
        advance(record, Claimed(4, "w", 14))


def test_a_request_that_killed_its_worker_in_its_last_attempt_is_abandoned_and_not_claimed():
    record = claimed(pending(max_attempts=1))
    assert exhausted(record)
    with pytest.raises(TransitionRefused, match="used its 1 attempts"):
        advance(record, Claimed(20, "w", 30))
    with pytest.raises(TransitionRefused, match="attempts or lease left"):
        advance(record, Abandoned(11))
    ended = advance(record, Abandoned(12))
    assert (ended.status, ended.error, ended.finished_at) == (Status.FAILED, abandoned_error(record), 12)
    assert ended.seq > SEQ_STRIDE
    with pytest.raises(TransitionRefused):
        advance(claimed(), Abandoned(100))


@pytest.mark.parametrize(
    "event",
    [
        Renewed(3, 1, 13),
        Progressed(3, 1, 2, 10),
        Completed(3, 1, 2, b"{}"),
        Failed(3, 1, 2, ERROR),
        Failed(3, 1, 2, ERROR, 5),
        Released(3, 1),
    ],
    ids=lambda event: type(event).__name__,
)
def test_only_the_newest_claim_may_write(event):
    taken_over = claimed(claimed(), at=12, lease_until=22)
    for record in (taken_over, pending(), advance(claimed(), Cancelled(3))):
        with pytest.raises(LeaseLost, match="under claim 1 is refused"):
            advance(record, event)
    assert advance(claimed(), event).updated_at == 3


def test_a_renewal_moves_the_end_of_the_lease():
    assert advance(claimed(), Renewed(3, 1, 33)).due_at == 33


def test_progress_never_falls_in_the_record():
    record = advance(claimed(), Progressed(3, 1, 7, 50, "half", b'{"a":1}'))
    record = advance(record, Progressed(4, 1, 6, 40, "later"))
    assert (record.percentage, record.message, record.seq, record.progress_metadata) == (50, "later", 7, b"")


def test_a_result_ends_the_request():
    record = advance(claimed(), Completed(3, 1, 9, b"{}"))
    assert (record.status, record.terminal, record.percentage, record.seq) == (Status.COMPLETED, True, 100.0, 9)
    assert (record.result, record.error, record.finished_at) == (b"{}", None, 3)


def test_an_error_ends_the_request_or_sends_it_round_again():
    ended = advance(claimed(), Failed(3, 1, 9, ERROR))
    assert (ended.status, ended.terminal, ended.error, ended.finished_at) == (Status.FAILED, True, ERROR, 3)
    again = advance(claimed(), Failed(3, 1, 9, ERROR, 8.0))
    assert (again.status, again.due_at, again.error, again.worker) == (Status.RETRYING, 8.0, ERROR, "")
    assert again.status in QUEUED


def test_a_claim_given_back_does_not_count_as_an_attempt():
    record = advance(claimed(), Released(3, 1))
    assert (record.status, record.due_at, record.attempts, record.fence) == (Status.PENDING, 3, 0, 1)


@pytest.mark.parametrize("record", [pending(), claimed(), advance(claimed(), Failed(3, 1, 2, ERROR, 9))])
def test_what_has_not_ended_can_be_cancelled(record):
    ended = advance(record, Cancelled(4, "no longer needed"))
    assert ended.status is Status.CANCELLED
    assert ended.error == ErrorBody("CANCELLED", "no longer needed")
    assert ended.seq > first_seq(record.fence + 1)
    with pytest.raises(TransitionRefused, match="already CANCELLED"):
        advance(ended, Cancelled(5))


def test_a_failed_or_cancelled_request_can_be_run_again_with_a_new_count():
    for ended in (advance(claimed(), Failed(3, 1, 2, ERROR)), advance(claimed(), Cancelled(3))):
        assert ended.status in TERMINAL
        again = advance(ended, Requeued(5))
        assert (again.status, again.attempts, again.error, again.finished_at) == (Status.PENDING, 0, None, None)
        assert first_seq(claimed(again, at=6, lease_until=16).fence) >= ended.seq - 1
    for other in (pending(), claimed(), advance(claimed(), Completed(3, 1, 2, b""))):
        with pytest.raises(TransitionRefused, match="only FAILED and CANCELLED"):
            advance(other, Requeued(5))


def test_every_claim_has_a_range_of_numbers_of_its_own():
    assert first_seq(0) == first_seq(1) == 0
    assert first_seq(3) == 2 * SEQ_STRIDE
    assert first_seq(2_000_000) < 2**53


def test_the_owner_is_told_once_of_what_has_ended_and_of_nothing_else():
    ended = advance(claimed(), Completed(3, 1, 2, b"{}"))
    told = advance(ended, Delivered(4))
    assert told.delivered_at == 4
    assert advance(told, Delivered(9)) is told
    for record in (pending(), claimed(), advance(claimed(), Failed(3, 1, 2, ERROR, 9))):
        with pytest.raises(TransitionRefused, match="no outcome to deliver yet"):
            advance(record, Delivered(5))


def test_what_runs_again_is_to_be_told_again():
    told = advance(advance(claimed(), Cancelled(3)), Delivered(4))
    assert advance(told, Requeued(5)).delivered_at is None


HAPPENINGS = st.sampled_from(
    ["claim", "renew", "progress", "complete", "fail", "retry", "release", "abandon", "cancel", "requeue", "deliver"]
)


def happening(kind, record, at, fence, step):
    seq = first_seq(fence) + step
    return {
        "claim": Claimed(at, "w", at + 5),
        "renew": Renewed(at, fence, at + 5),
        "progress": Progressed(at, fence, seq, float(step % 101)),
        "complete": Completed(at, fence, seq, b"1"),
        "fail": Failed(at, fence, seq, ERROR),
        "retry": Failed(at, fence, seq, ERROR, at + 2),
        "release": Released(at, fence),
        "abandon": Abandoned(at),
        "cancel": Cancelled(at),
        "requeue": Requeued(at),
        "deliver": Delivered(at),
    }[kind]


@given(st.lists(st.tuples(HAPPENINGS, st.integers(0, 6), st.integers(0, 1)), max_size=60), st.integers(1, 3))
def test_whatever_happens_in_whatever_order_a_record_keeps_its_promises(story, max_attempts):
    record = pending(max_attempts=max_attempts)
    at = 1.0
    for step, (kind, seconds, late) in enumerate(story, start=1):
        at += seconds
        before = record
        event = happening(kind, record, at, record.fence - late, step)
        try:
            record = advance(record, event)
        except (LeaseLost, TransitionRefused):
            continue
        assert record.terminal == (record.status in TERMINAL)
        assert (record.finished_at is not None) == record.terminal
        assert record.terminal or record.delivered_at is None
        assert record.attempts >= 0
        assert record.fence >= before.fence
        assert record.seq >= before.seq, "a client would drop what follows"
        assert record.percentage >= before.percentage or kind == "claim"
        assert record.key == before.key
        assert not before.terminal or kind in {"requeue", "deliver"}, "it had ended"
        assert (record.error is not None) or record.status not in {Status.FAILED, Status.CANCELLED, Status.RETRYING}
