"""Faults on demand: rare failures of AWS that can be requested here."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

LONGEST: Final = 900
"""Maximum seconds of an invocation."""


class Fault(StrEnum):
    """The faults, each with its `subject`."""

    GONE = "gone"
    """A post is answered with 410, and the connection stays open. Subject: the connection's id."""
    TOO_FAST = "too_fast"
    """A post is answered with 429. Subject: the connection's id."""
    DUPLICATE_POST = "duplicate_post"
    """A post is delivered twice, as when an SDK repeats a call whose response was lost. Subject: the connection's
    id.
    """
    LOST_DISCONNECT = "lost_disconnect"
    """No `$disconnect` is sent. Subject: the connection's id."""
    DUPLICATE_EVENT = "duplicate_event"
    """The processor gets a batch twice. Subject: `sqs` or `streams`."""
    LOST_WAKE_UP = "lost_wake_up"
    """A batch never reaches the processor, and counts as processed. Subject: `sqs` or `streams`."""
    KILLED_SANDBOX = "killed_sandbox"
    """The sandbox is killed during an invocation. Subject: the function's name."""
    THROTTLED = "throttled"
    """DynamoDB answers ProvisionedThroughputExceededException. Subject: the operation, such as `UpdateItem`."""
    CONFLICT = "conflict"
    """DynamoDB answers TransactionConflictException. Subject: the operation."""
    LOST_ANSWER = "lost_answer"
    """DynamoDB executes the call, and the response is lost (500). Subject: the operation."""


@dataclass(slots=True, kw_only=True)
class Plan:
    """One requested fault."""

    fault: Fault
    count: int | None
    """How many more times it happens; None: until it is cleared."""
    share: float
    """The fraction of the occasions."""
    subject: str
    """Its subject; empty: any."""
    after: float
    """Seconds into the invocation, for `KILLED_SANDBOX`."""


class Faults:
    """The requested faults, and those that have happened.

    Args:
        seed: of the choice of occasions for a `share`.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.happened: Counter[Fault] = Counter()
        self._plans: list[Plan] = []
        self._random = random.Random(seed)  # noqa: S311 - a choice of faults, no secret

    def plan(
        self,
        fault: Fault | str,
        *,
        count: int | None = 1,
        share: float = 1.0,
        subject: str = "",
        after: float = 0.0,
    ) -> None:
        """Requests a fault.

        Args:
            fault: which.
            count: how often; None: until `clear`.
            share: the fraction of the occasions, more than 0 and at most 1.
            subject: see `Fault`; empty: any.
            after: seconds into the invocation, for `KILLED_SANDBOX`.

        Raises:
            ValueError: the fault is unknown, or a number is out of its range.
        """
        if isinstance(count, bool) or not (count is None or (isinstance(count, int) and count > 0)):
            raise ValueError(f"count is {count!r}; use a number from 1, or null: until it is cleared")
        if not _is_number(share) or not 0 < share <= 1:
            raise ValueError(f"share is {share!r}; use a number above 0 and up to 1")
        if not _is_number(after) or not 0 <= after <= LONGEST:
            raise ValueError(f"after is {after!r}; use a number of seconds from 0 to {LONGEST}")
        self._plans.append(Plan(fault=_known(fault), count=count, share=share, subject=str(subject), after=after))

    def take(self, fault: Fault, subject: str) -> Plan | None:
        """The plan by which the fault happens now to that subject; None when it does not."""
        for plan in self._plans:
            if plan.fault is fault and plan.subject in ("", subject) and self._random.random() < plan.share:
                if plan.count is not None:
                    plan.count -= 1
                    if not plan.count:
                        self._plans.remove(plan)
                self.happened[fault] += 1
                return plan
        return None

    def clear(self) -> None:
        """Clears all faults."""
        self._plans.clear()

    def described(self) -> dict[str, Any]:
        """Requested faults and those that have happened, as JSON."""
        return {
            "planned": [
                {
                    "fault": plan.fault.value,
                    "count": plan.count,
                    "share": plan.share,
                    "subject": plan.subject,
                    "after": plan.after,
                }
                for plan in self._plans
            ],
            "happened": {fault.value: count for fault, count in self.happened.items()},
        }

    def plan_described(self, params: Any) -> None:
        """Requests a fault described as JSON: the arguments of `plan`.

        Raises:
            ValueError: the description is invalid.
        """
        if not isinstance(params, Mapping) or "fault" not in params:
            raise ValueError('describe a fault as {"fault": "gone", "count": 1}')
        unknown = set(params) - {"fault", "count", "share", "subject", "after"}
        if unknown:
            raise ValueError(f"{', '.join(sorted(map(repr, unknown)))}: unknown key of a fault")
        self.plan(**params)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _known(fault: Fault | str) -> Fault:
    try:
        return Fault(fault)
    except ValueError:
        raise ValueError(f"{fault!r} is not a fault; the faults are {', '.join(Fault)}") from None
