"""A dashboard for Grafana, as the JSON that it imports."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_CHOSEN: Final = 'job=~"$job",instance=~"$instance"'
_WIDTH: Final = 24
_HEIGHT: Final = 8


class Panel(NamedTuple):
    """One chart."""

    title: str
    unit: str
    """As Grafana calls it."""
    queries: Sequence[tuple[str, str]]
    """PromQL, and the legend."""
    description: str = ""
    kind: str = "timeseries"


def _rate(metric: str, *, by: str = "", where: str = "") -> str:
    """The rate of a counter, summed."""
    chosen = f"{_CHOSEN},{where}" if where else _CHOSEN
    return f"sum {f'by ({by}) ' if by else ''}(rate({metric}{{{chosen}}}[$__rate_interval]))"


def _quantile(quantile: float, metric: str, *, by: str, where: str = "") -> str:
    return f"histogram_quantile({quantile}, {_rate(f'{metric}_bucket', by=f'{by}, le', where=where)})"


_TOOK: Final = "streamer_request_duration_seconds"
_BROKEN: Final = f"sum(streamer_health_problems{{{_CHOSEN}}})"
_BUSY: Final = f"sum(streamer_running{{{_CHOSEN}}}) / sum(streamer_worker_slots{{{_CHOSEN}}})"
_RATIO: Final = (
    f"{_rate('streamer_attempt_duration_seconds_sum', by='action')} / "
    f"{_rate('streamer_attempt_duration_seconds_count', by='action')} / "
    f"max by (action) (streamer_action_estimate_seconds{{{_CHOSEN}}} > 0)"
)

ROWS: Final[Sequence[tuple[str, Sequence[Panel]]]] = (
    (
        "Now",
        (
            Panel("Connections", "short", [(f"sum(streamer_connections{{{_CHOSEN}}})", "")], kind="stat"),
            Panel("Requests", "reqps", [(_rate("streamer_requests_total"), "")], kind="stat"),
            Panel("Worker slots in use", "percentunit", [(_BUSY, "")], kind="stat"),
            Panel("Parts that do not work", "short", [(_BROKEN, "")], kind="stat"),
        ),
    ),
    (
        "Requests",
        (
            Panel("Ended", "reqps", [(_rate("streamer_requests_total", by="action, mode"), "{{action}} ({{mode}})")]),
            Panel(
                "Without a result",
                "reqps",
                [
                    (
                        _rate("streamer_requests_total", by="action, outcome", where='outcome!="completed"'),
                        "{{action}} {{outcome}}",
                    )
                ],
            ),
            Panel("Refused", "reqps", [(_rate("streamer_requests_refused_total", by="code"), "{{code}}")]),
            Panel(
                "Answered directly, p50 and p99",
                "s",
                [
                    (
                        _quantile(q, _TOOK, by="action", where='mode="direct"'),
                        f"{{{{action}}}} p{q * 100:.0f}",
                    )
                    for q in (0.5, 0.99)
                ],
            ),
            Panel(
                "Errors of handlers",
                "reqps",
                [(_rate("streamer_request_errors_total", by="action, code"), "{{action}} {{code}}")],
            ),
        ),
    ),
    (
        "Queue",
        (
            Panel(
                "In the store",
                "short",
                [(f"max by (status) (streamer_stored_requests{{{_CHOSEN}}})", "{{status}}")],
                "Counted every 15 seconds; every 5 minutes where several processes share the store.",
            ),
            Panel(
                "Wait for the first attempt, p50 and p95",
                "s",
                [
                    (_quantile(q, "streamer_queue_wait_seconds", by="action"), f"{{{{action}}}} p{q * 100:.0f}")
                    for q in (0.5, 0.95)
                ],
            ),
            Panel(
                "Acceptance to result, p95",
                "s",
                [
                    (
                        _quantile(0.95, "streamer_request_duration_seconds", by="action", where='mode="queued"'),
                        "{{action}}",
                    )
                ],
            ),
            Panel("Running", "short", [(f"sum by (action) (streamer_running{{{_CHOSEN}}})", "{{action}}")]),
            Panel(
                "Attempts", "ops", [(_rate("streamer_attempts_total", by="action, outcome"), "{{action}} {{outcome}}")]
            ),
            Panel("Duration, times the estimate", "short", [(_RATIO, "{{action}}")]),
            Panel("Accepted", "reqps", [(_rate("streamer_requests_queued_total", by="action"), "{{action}}")]),
        ),
    ),
    (
        "Connections",
        (
            Panel("Open", "short", [(f"sum by (instance) (streamer_connections{{{_CHOSEN}}})", "{{instance}}")]),
            Panel(
                "Opened and closed",
                "ops",
                [
                    (_rate("streamer_connections_opened_total"), "opened"),
                    (_rate("streamer_connections_closed_total", by="code"), "closed {{code}}"),
                ],
            ),
            Panel(
                "Messages",
                "mps",
                [
                    (_rate("streamer_received_messages_total"), "received"),
                    (_rate("streamer_sent_messages_total"), "sent"),
                ],
            ),
            Panel(
                "Bytes",
                "Bps",
                [(_rate("streamer_received_bytes_total"), "received"), (_rate("streamer_sent_bytes_total"), "sent")],
            ),
        ),
    ),
    (
        "Process",
        (
            Panel(
                "Calls of the store, p99",
                "s",
                [(_quantile(0.99, "streamer_store_call_duration_seconds", by="operation"), "{{operation}}")],
            ),
            Panel(
                "Failed calls of the store",
                "ops",
                [(_rate("streamer_store_errors_total", by="operation"), "{{operation}}")],
            ),
            Panel(
                "Event loop late by, p99",
                "s",
                [(_quantile(0.99, "streamer_loop_lag_seconds", by="instance"), "{{instance}}")],
            ),
            Panel("Processor", "percentunit", [(_rate("process_cpu_seconds_total", by="instance"), "{{instance}}")]),
            Panel("Memory", "bytes", [(f"process_resident_memory_bytes{{{_CHOSEN}}}", "{{instance}}")]),
        ),
    ),
)


def as_json(title: str = "streamer") -> str:
    """The dashboard."""
    return json.dumps(_dashboard(title), indent=2) + "\n"


def _dashboard(title: str) -> dict[str, Any]:
    panels: list[dict[str, Any]] = []
    top = 0
    for row, members in ROWS:
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": row, "gridPos": {"h": 1, "w": _WIDTH, "x": 0, "y": top}}
        )
        top += 1
        across = 4 if members[0].kind == "stat" else 3
        height = _HEIGHT // 2 if members[0].kind == "stat" else _HEIGHT
        for number, panel in enumerate(members):
            place = {
                "h": height,
                "w": _WIDTH // across,
                "x": number % across * (_WIDTH // across),
                "y": top + number // across * height,
            }
            panels.append(_panel(panel, len(panels) + 1, place))
        top += -(-len(members) // across) * height
    return {
        "title": title,
        "uid": "streamer-overview",
        "tags": ["streamer"],
        "schemaVersion": 39,
        "timezone": "browser",
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
                _variable("job", "label_values(streamer_build_info, job)"),
                _variable("instance", 'label_values(streamer_build_info{job=~"$job"}, instance)'),
            ]
        },
        "panels": panels,
    }


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"selected": True, "text": "All", "value": "$__all"},
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}} if panel.kind == "timeseries" else {},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": _SOURCE, "expr": query, "legendFormat": legend or "__auto"}
            for place, (query, legend) in enumerate(panel.queries)
        ],
    }
