"""Alerting rules for Prometheus. `promtool` tests each with series that fire it and series that do not."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import yaml

_FAILED: Final = 'outcome=~"failed|expired|abandoned"'


class Rule(NamedTuple):
    """One alert."""

    name: str
    expression: str
    lasting: str
    """How long the expression must hold."""
    severity: str
    summary: str
    description: str


def rules(objective: float = 99.0) -> list[Rule]:
    """Every rule.

    Args:
        objective: percent of the requests that should end without an error, over 30 days.
    """
    budget = round((100 - objective) / 100, 6)
    return [
        Rule(
            "StreamerPartDown",
            "max by (instance) (streamer_health_problems) > 0",
            "2m",
            "critical",
            "A part of streamer does not work",
            "Parts of {{ $labels.instance }}, such as the store, report that they do not work. "
            "/admin/v1/health and the log say which and why.",
        ),
        Rule(
            "StreamerQueueStands",
            'max(streamer_stored_requests{status="PENDING"}) > 0 and sum(rate(streamer_attempts_total[10m])) == 0 '
            "and sum(streamer_running) == 0",
            "5m",
            "critical",
            "Requests wait, and no worker runs any",
            "{{ $value }} requests wait, and no attempt has run or ended for 10 minutes.",
        ),
        Rule(
            "StreamerQueueWaitLong",
            "histogram_quantile(0.95, sum by (action, le) (rate(streamer_queue_wait_seconds_bucket[10m]))) > "
            "(5 * max by (action) (streamer_action_estimate_seconds) > 30 or "
            "30 + 0 * max by (action) (streamer_action_estimate_seconds))",
            "10m",
            "warning",
            "Requests of {{ $labels.action }} wait long for a worker",
            "One in twenty requests of {{ $labels.action }} waits {{ $value | humanizeDuration }} or longer, which is "
            "more than five times its estimated duration.",
        ),
        _burn("StreamerErrorsFast", budget, 14.4, "1h", "5m", "critical"),
        _burn("StreamerErrorsSlow", budget, 6, "6h", "30m", "warning"),
        Rule(
            "StreamerDeadLetters",
            f'sum by (action) (increase(streamer_requests_total{{mode="queued",{_FAILED}}}[15m])) > 5',
            "0m",
            "warning",
            "Queued requests of {{ $labels.action }} end without a result",
            "{{ $value | humanize }} queued requests of {{ $labels.action }} failed, expired or were abandoned in 15 "
            "minutes. 'streamer requests list --status FAILED' shows them with their errors.",
        ),
        Rule(
            "StreamerLeasesLost",
            'sum by (action) (increase(streamer_attempts_total{outcome="lost"}[15m])) > 0',
            "0m",
            "warning",
            "A worker lost requests that it was running",
            "{{ $value | humanize }} attempts of {{ $labels.action }} were taken over by another worker: the event "
            "loop or the store stood still for longer than worker.lease.",
        ),
        Rule(
            "StreamerSlowConsumers",
            'sum(increase(streamer_connections_closed_total{code="3008"}[15m])) > 0',
            "0m",
            "warning",
            "Clients were cut off because they read too slowly",
            "{{ $value | humanize }} connections were closed with 3008 in 15 minutes.",
        ),
        Rule(
            "StreamerRefusing",
            'sum by (code) (rate(streamer_requests_refused_total{code=~"OVERLOADED|RATE_LIMITED"}[5m])) > 1',
            "5m",
            "warning",
            "Requests are refused with {{ $labels.code }}",
            "{{ $value | humanize }} requests a second are refused with {{ $labels.code }}.",
        ),
        Rule(
            "StreamerEstimateDrifted",
            "(sum by (action) (rate(streamer_attempt_duration_seconds_sum[1h])) / "
            "sum by (action) (rate(streamer_attempt_duration_seconds_count[1h])) / "
            "max by (action) (streamer_action_estimate_seconds > 0) > 3) "
            "and sum by (action) (increase(streamer_attempt_duration_seconds_count[1h])) > 10",
            "1h",
            "info",
            "{{ $labels.action }} takes longer than its estimated duration",
            "{{ $labels.action }} takes {{ $value | humanize }} times its estimated_duration. Clients see the "
            "estimate, and it decides what is queued: change it in the file.",
        ),
        Rule(
            "StreamerStoreSlow",
            "histogram_quantile(0.99, sum by (operation, le) "
            '(rate(streamer_store_call_duration_seconds_bucket{operation=~"enqueue|complete"}[5m]))) > 1',
            "5m",
            "warning",
            "The store is slow",
            "One in a hundred calls of {{ $labels.operation }} takes {{ $value | humanizeDuration }} or longer.",
        ),
        Rule(
            "StreamerLoopBlocked",
            "histogram_quantile(0.99, sum by (instance, le) (rate(streamer_loop_lag_seconds_bucket[5m]))) > 0.5",
            "5m",
            "warning",
            "The event loop of {{ $labels.instance }} is late",
            "The event loop is late by {{ $value | humanizeDuration }} or longer. A handler blocks it, or the "
            "processor is busy.",
        ),
    ]


def as_yaml(objective: float = 99.0) -> str:
    """The file of rules for Prometheus."""
    group = {"name": "streamer", "rules": [_alert(rule) for rule in rules(objective)]}
    head = "# Written by 'streamer export prometheus-rules'. Prometheus reads it as one of its rule_files.\n"
    return head + str(yaml.safe_dump({"groups": [group]}, sort_keys=False, width=120, allow_unicode=True))


def _burn(name: str, budget: float, factor: float, long: str, short: str, severity: str) -> Rule:
    """The error budget of 30 days is used up so many times faster than it may, over a long and a short window: the
    short one ends the alert soon after the errors do (Google's SRE workbook, chapter 5).
    """

    def ratio(window: str) -> str:
        return (
            f"sum by (action) (rate(streamer_requests_total{{{_FAILED}}}[{window}])) / "
            f"sum by (action) (rate(streamer_requests_total[{window}]))"
        )

    bound = round(factor * budget, 6)
    return Rule(
        name,
        f"({ratio(long)} > {bound:g}) and ({ratio(short)} > {bound:g})",
        "2m",
        severity,
        "Too many requests of {{ $labels.action }} end with an error",
        f"{{{{ $value | humanizePercentage }}}} of the requests of {{{{ $labels.action }}}} ended with an error in "
        f"{long}; at this rate the error budget of 30 days lasts {30 / factor:.0f} days.",
    )


def _alert(rule: Rule) -> dict[str, Any]:
    return {
        "alert": rule.name,
        "expr": rule.expression,
        "for": rule.lasting,
        "labels": {"severity": rule.severity},
        "annotations": {"summary": rule.summary, "description": rule.description},
    }
