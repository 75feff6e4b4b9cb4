from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core.attempts import MAX_HISTORY, Attempt, Outcome
from streamer.core.errors import LeaseLost, TransitionRefused
from streamer.core.messages import ErrorBody
from streamer.core.principal import Principal
from streamer.core.records import (
    QUEUED,
    SEQ_STRIDE,
    TERMINAL,
    RequestRecord,
    Status,
    abandoned_error,
    due,
    exhausted,
    expired,
    expired_error,
    first_seq,
    rebase_clock,
)
from streamer.core.transitions import (
    Abandoned,
    Cancelled,
    Claimed,
    Completed,
    Delivered,
    Expired,
    Failed,
    Progressed,
    Released,
    Renewed,
    Requeued,
    advance,
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


@pytest.mark.parametrize(
    "record",
    [
        advance(claimed(), Failed(3, 1, 2, ErrorBody("A", "b"), 5)),
        claimed(),
        advance(claimed(), Completed(3, 1, 2, b"{}")),
    ],
)
def test_what_is_not_due_cannot_be_claimed(record):
    with pytest.raises(TransitionRefused, match="not due"):
        advance(record, Claimed(4, "w", 14))


def test_what_is_pending_is_due_whatever_the_clock_says():
    assert due(pending(due_at=3600), 1)
    assert claimed(pending(due_at=3600)).status is Status.PROCESSING


def test_a_request_that_killed_its_worker_in_its_last_attempt_is_abandoned_and_not_claimed():
    record = claimed(pending(max_attempts=1))
    assert exhausted(record)
    with pytest.raises(TransitionRefused, match="used its 1 attempts"):
        advance(record, Claimed(20, "w", 30))
    with pytest.raises(TransitionRefused, match="has attempts left, or its lease is valid"):
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


def attempt(outcome, ended_at, error=None, fence=1):
    return Attempt(fence=fence, worker="w", started_at=2.0, ended_at=ended_at, outcome=outcome, error=error)


def test_the_tenant_is_the_principals():
    assert pending().tenant == ""
    assert pending(principal=Principal(user_id="u")).tenant == ""
    assert pending(principal=Principal(user_id="u", tenant_id="t")).tenant == "t"


class TestHistory:
    @pytest.mark.parametrize(
        ("event", "remembered"),
        [
            (Failed(3, 1, 2, ERROR), attempt(Outcome.FAILED, 3, ERROR)),
            (Failed(3, 1, 2, ERROR, 8), attempt(Outcome.FAILED, 3, ERROR)),
            (Released(4, 1), attempt(Outcome.RELEASED, 4)),
            (Claimed(12, "other", 22), attempt(Outcome.LOST, 12)),
            (Cancelled(5), attempt(Outcome.CANCELLED, 5)),
        ],
        ids=["failed", "tried again", "released", "taken over", "cancelled"],
    )
    def test_an_attempt_that_did_not_complete_the_request_is_remembered(self, event, remembered):
        assert advance(claimed(), event).history == (remembered,)

    def test_an_abandoned_request_and_one_that_expired_under_a_dead_worker_remember_the_lost_attempt(self):
        assert advance(claimed(pending(max_attempts=1)), Abandoned(12)).history == (attempt(Outcome.LOST, 12),)
        assert advance(claimed(pending(expires_at=12)), Expired(12)).history == (attempt(Outcome.LOST, 12),)

    @pytest.mark.parametrize("event", [Renewed(3, 1, 13), Progressed(3, 1, 2, 10), Completed(3, 1, 2, b"{}")])
    def test_nothing_else_adds_to_it(self, event):
        assert advance(claimed(), event).history == ()

    def test_a_claim_of_what_waited_adds_nothing(self):
        waiting = advance(claimed(), Failed(3, 1, 2, ERROR, 8))
        assert advance(waiting, Claimed(8, "w", 18)).history == waiting.history
        assert advance(waiting, Cancelled(9)).history == waiting.history

    def test_it_stays_over_a_new_count_of_attempts(self):
        again = advance(advance(claimed(), Failed(3, 1, 2, ERROR)), Requeued(5))
        assert again.history == (attempt(Outcome.FAILED, 3, ERROR),)
        ended = advance(claimed(again, at=6, lease_until=16), Failed(7, 3, 2, ERROR))
        assert [one.fence for one in ended.history] == [1, 3]

    def test_the_newest_attempts_are_kept_and_no_more_than_the_bound(self):
        record = pending(max_attempts=1000)
        for n in range(MAX_HISTORY + 5):
            record = claimed(record, at=10.0 * n + 10, lease_until=10.0 * n + 15)
            record = advance(record, Released(10.0 * n + 12, record.fence))
        assert [one.fence for one in record.history] == list(range(6, MAX_HISTORY + 6))


class TestExpiry:
    def test_begins_at_the_very_instant(self):
        record = pending(expires_at=5)
        assert not expired(record, 4.999)
        assert expired(record, 5)
        with pytest.raises(TransitionRefused, match="has not expired"):
            advance(record, Expired(4.999))
        with pytest.raises(TransitionRefused, match="has expired while it waited"):
            advance(record, Claimed(5, "w", 15))
        assert claimed(record, at=4.999).status is Status.PROCESSING

    def test_ends_what_waits_as_a_timeout_that_may_be_tried_again(self):
        ended = advance(pending(expires_at=91), Expired(95))
        assert (ended.status, ended.terminal, ended.finished_at) == (Status.FAILED, True, 95)
        assert ended.error == expired_error(pending(expires_at=91))
        assert (ended.error.code, ended.error.retryable) == ("TIMEOUT", True)
        assert ended.error.message == "The request waited longer than 1m30s in the queue"
        assert ended.seq > 0

    def test_ends_what_waits_for_another_attempt(self):
        record = advance(claimed(pending(expires_at=5)), Failed(3, 1, 2, ERROR, 8))
        ended = advance(record, Expired(5))
        assert (ended.status, ended.history, ended.error.details) == (Status.FAILED, record.history, {"attempts": 1})

    def test_ends_nothing_that_runs_or_has_ended(self):
        assert not expired(claimed(pending(expires_at=5)), 11.999)
        assert expired(claimed(pending(expires_at=5)), 12)
        assert not expired(advance(claimed(pending(expires_at=5)), Completed(3, 1, 2, b"{}")), 100)
        assert not expired(pending(), 100)

    def test_is_over_for_what_is_run_again(self):
        again = advance(advance(pending(expires_at=5), Expired(5)), Requeued(6))
        assert again.expires_at is None
        assert claimed(again, at=1000, lease_until=1010).status is Status.PROCESSING


class TestAClockPutBack:
    def test_holds_up_nothing_that_waits_for_a_time(self):
        waiting = advance(claimed(), Failed(100, 1, 2, ERROR, 160))
        back = rebase_clock(waiting, 40.0)
        assert (back.due_at, back.updated_at) == (100.0, 40.0)
        running = claimed(at=100.0, lease_until=130.0)
        assert rebase_clock(running, 40.0).due_at == 70.0
        assert rebase_clock(back, 40.0) is back, "once is enough"

    def test_leaves_what_was_written_before_and_what_waits_for_nothing_or_has_ended(self):
        for record in (
            claimed(at=30.0, lease_until=60.0),
            pending(updated_at=100),
            advance(claimed(), Cancelled(100)),
        ):
            assert rebase_clock(record, 40.0) is record

    def test_moves_the_expiry_too_and_its_message_does_not_make_up_a_time(self):
        record = rebase_clock(pending(created_at=100, updated_at=100, due_at=100, expires_at=130), 40.0)
        assert (record.expires_at, record.due_at) == (70.0, 40.0)
        assert not expired(record, 69)
        assert advance(record, Expired(70)).error.message == "The request waited too long in the queue"


HAPPENINGS = st.sampled_from(
    [
        "claim",
        "renew",
        "progress",
        "complete",
        "fail",
        "retry",
        "release",
        "abandon",
        "cancel",
        "requeue",
        "deliver",
        "expire",
    ]
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
        "expire": Expired(at),
    }[kind]


@given(
    st.lists(st.tuples(HAPPENINGS, st.integers(0, 6), st.integers(0, 1)), max_size=60),
    st.integers(1, 3),
    st.none() | st.integers(1, 60),
)
def test_whatever_happens_in_whatever_order_a_record_keeps_its_promises(story, max_attempts, expires_at):
    record = pending(max_attempts=max_attempts, expires_at=expires_at)
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
        assert record.history[: len(before.history)] == before.history or len(record.history) == MAX_HISTORY
        assert len(record.history) <= MAX_HISTORY
        assert kind != "claim" or before.expires_at is None or before.expires_at > at, "it had expired"
        assert not before.terminal or kind in {"requeue", "deliver"}, "it had ended"
        assert (record.error is not None) or record.status not in {Status.FAILED, Status.CANCELLED, Status.RETRYING}
