"""What `streamer explain` tells."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import click
import pytest

from streamer.cli.action_plan import explain
from streamer.cli.explain import _facts
from streamer.config.settings import (
    ActionSettings,
    ComponentUse,
    RetrySettings,
    ServiceSettings,
    Settings,
    WorkerSettings,
)
from streamer.contracts.components import Component, Kind, Stability, handler
from streamer.contracts.handlers import BaseHandler
from streamer.plugins.registry import PluginInfo, Registry

ORIGIN = {"namespace": "demo", "distribution": "streamer-demo", "version": "1.2"}


class Slow(BaseHandler):
    """Takes its time"""

    def __init__(self, **_options):
        super().__init__(estimated_duration=90.0)

    async def process(self, request, /):
        return None


@contextlib.asynccontextmanager
async def session(_options, _context):
    yield Slow()


def quick(request):
    return None


SECRET_OPTIONS = {
    "type": "object",
    "properties": {"token": {"type": "string", "writeOnly": True}, "per": {}, "url": {}},
}
COMPONENTS = (
    Component(kind=Kind.HANDLER, name="session", factory=session, **ORIGIN),
    Component(kind=Kind.MIDDLEWARE, name="limit", factory=dict, options=SECRET_OPTIONS, **ORIGIN),
    Component(kind=Kind.MIDDLEWARE, name="log", factory=dict, version="0.1.0"),
)


def filled(component):
    return dataclasses.replace(component, **ORIGIN)


REGISTRY = Registry.of(
    [
        PluginInfo(
            name="demo",
            distribution="streamer-demo",
            version="1.2",
            components=(
                filled(handler("slow", Slow, stability=Stability.BETA, schema={"type": "object"})),
                filled(handler("quick", quick)),
                *COMPONENTS,
            ),
        )
    ]
)


def told(wait=None, secrets=frozenset(), **action):
    settings = Settings(
        path=Path("/srv/streamer.yaml"),
        service=ServiceSettings(async_threshold=5.0),
        middleware=(
            ComponentUse(name="log"),
            ComponentUse(name="demo.limit", options={"token": "t0p", "per": "client", "url": "http://x?key=sesame"}),
        ),
        secrets=secrets,
        worker=WorkerSettings(threads=5, processes=6),
    )
    chosen = ActionSettings(**{"name": "report", "handler": "demo.slow", **action})
    return explain(settings, REGISTRY, chosen, wait)


def test_the_decision_follows_the_handlers_own_estimate():
    decision = told()["decision"]
    assert decision == {
        "queued": True,
        "why": "the estimate of 90s is at or above the threshold of 5s",
        "mode": "auto",
        "estimate": "1m30s",
        "estimate_source": "the handler",
        "threshold": "5s",
        "wait": None,
    }


def test_the_files_estimate_comes_before_the_handlers():
    decision = told(estimated_duration=0.25)["decision"]
    assert (decision["queued"], decision["estimate"], decision["estimate_source"]) == (
        False,
        "250ms",
        "the configuration",
    )


def test_a_function_without_an_estimate_is_answered_at_once():
    decision = told(handler="demo.quick")["decision"]
    assert (decision["queued"], decision["estimate"]) == (False, "0s")


def test_a_clients_wait_changes_the_decision_and_is_named():
    decision = told(wait=0.1, estimated_duration=0.25)["decision"]
    assert (decision["queued"], decision["wait"]) == (True, "100ms")
    assert "that the client may wait" in decision["why"]


def test_the_mode_of_the_action_settles_it():
    decision = told(mode="sync")["decision"]
    assert (decision["queued"], decision["why"]) == (False, "mode is sync")


def test_a_handler_that_tells_its_estimate_only_when_it_runs_is_not_started_for_it():
    with pytest.raises(click.ClickException, match=r"set actions\.report\.estimated_duration in the file"):
        told(handler="demo.session")
    assert told(handler="demo.session", estimated_duration=1.0)["decision"]["queued"] is False


def test_the_pipeline_stands_in_the_order_of_the_file_with_the_handler_last():
    stages = told(options={"a": 1})["pipeline"]
    assert [(stage["position"], stage["kind"], stage["name"]) for stage in stages] == [
        (1, "middleware", "log"),
        (2, "middleware", "demo.limit"),
        (3, "handler", "demo.slow"),
    ]
    assert stages[0]["origin"] == "streamer-router 0.1.0"
    assert stages[2]["options"] == {"a": 1}


def test_secrets_are_hidden_wherever_they_stand():
    options = told(secrets=frozenset({"sesame", "t0p"}))["pipeline"][1]["options"]
    assert options == {"token": "***", "per": "client", "url": "http://x?key=***"}


@pytest.mark.parametrize(
    ("action", "source"),
    [
        ({"schema": {"type": "object"}}, "JSON Schema of the handler 'demo.slow'"),
        ({"schema": {"type": "array"}}, "JSON Schema in the configuration"),
        ({"schema": {}, "schema_path": Path("/srv/a.json")}, "/srv/a.json"),
    ],
)
def test_the_validator_says_where_it_comes_from(action, source):
    assert told(**action)["validator"] == {"source": source, "schema": action["schema"]}


def test_no_schema_is_no_validator():
    assert told()["validator"] is None


def test_origin_and_stability_of_the_handler_are_told():
    assert told()["handler"] == {
        "name": "demo.slow",
        "origin": "streamer-demo 1.2",
        "stability": "beta",
        "summary": "Takes its time",
    }


def test_people_read_a_queued_action_as_facts():
    facts = dict(
        _facts(
            told(
                secrets=frozenset({"t0p"}),
                description="Makes a report",
                schema={"type": "array"},
                timeout=600.0,
                concurrency=4,
                options={"rows": 10},
                permissions=("reports:read", "reports:write"),
                retry=RetrySettings(max_attempts=4, jitter=0.1),
            )
        )
    )
    assert facts == {
        "action": "report",
        "description": "Makes a report",
        "handler": "demo.slow (streamer-demo 1.2, beta)",
        "permissions": "reports:read, reports:write",
        "validator": "JSON Schema in the configuration",
        "pipeline": (
            "1. log  [streamer-router 0.1.0]\n"
            "2. demo.limit (token=***, per=client, url=http://x?key=sesame)  [streamer-demo 1.2]\n"
            "3. demo.slow (rows=10)  [streamer-demo 1.2]"
        ),
        "decision": "queued: the estimate of 90s is at or above the threshold of 5s",
        "timeout": "10m per attempt",
        "retry": (
            "up to 4 attempts if the error is retryable; the first wait is 1s, each next one 2 times as long, "
            "at most 30s; each varies by 10 %"
        ),
        "concurrency": "at most 4 at the same time",
        "functions": (
            "plain functions share 5 threads, and CPU-bound ones 6 processes, with all queued requests; "
            "direct requests have their own"
        ),
        "priority": "0",
    }


def test_people_read_a_direct_action_as_facts():
    facts = dict(_facts(told(handler="demo.quick", retry=RetrySettings(max_attempts=1))))
    assert facts["permissions"] == "none: every client that may connect may send it"
    assert facts["validator"] == "none: every payload is accepted"
    assert facts["timeout"] == "none"
    assert facts["decision"].startswith("answered at once: ")
    assert facts["retry"] == "none: one attempt (for queued requests)"
    assert facts["concurrency"] == "limited by the worker only"
