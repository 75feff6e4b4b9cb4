"""`streamer explain`."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import click

from streamer.cli.options import Duration, config_option, examples, json_option
from streamer.cli.output import write_facts, write_json


@click.command(
    short_help="Explain what happens to an action's requests, and why.",
    epilog=examples(
        "streamer explain generate_report",
        "streamer explain create_user --wait 100ms    # and if a client waits no longer than that?",
        "streamer explain echo --json | jq .decision",
    ),
)
@click.argument("action")
@config_option
@click.option("--wait", type=Duration(), help="Decide as for a client that waits so long for a direct answer.")
@json_option
def command(action: str, config_path: Path, wait: float | None, as_json: bool) -> None:
    """Explain what happens to a request of ACTION: what checks it, what it runs through and in which order, whether it
    is answered at once or queued and why, and how it is retried.
    """
    from streamer.cli.explaining import explain
    from streamer.cli.reading import read

    settings, registry = read(config_path)
    if action not in settings.actions:
        close = difflib.get_close_matches(action, settings.actions, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"it has: {', '.join(settings.actions) or 'none'}"
        raise click.ClickException(f"{config_path} has no action {action!r} ({hint})")
    told = explain(settings, registry, settings.actions[action], wait)
    if as_json:
        write_json(told)
    else:
        write_facts(_facts(told))


def _facts(told: dict[str, Any]) -> list[tuple[str, str]]:
    handler, decision, validator, retry = told["handler"], told["decision"], told["validator"], told["retry"]
    queued = decision["queued"]
    return [
        ("action", told["action"]),
        ("description", told["description"]),
        ("handler", f"{handler['name']} ({handler['origin']}, {handler['stability']})"),
        ("permissions", ", ".join(told["permissions"]) or "none: whoever may connect may use it"),
        ("validator", validator["source"] if validator is not None else "none: any payload passes"),
        ("pipeline", "\n".join(_stage(stage) for stage in told["pipeline"])),
        ("decision", f"{'queued' if queued else 'answered at once'}: {decision['why']}"),
        ("timeout", f"{told['timeout']} an attempt" if told["timeout"] else "none"),
        ("retry", _retries(retry) + ("" if queued else " (of requests that are queued)")),
        ("concurrency", f"at most {told['concurrency']} at one time" if told["concurrency"] else "the worker's limit"),
        ("functions", _pools(told["pools"], "queued" if queued else "direct", "direct" if queued else "queued")),
        ("priority", str(told["priority"])),
    ]


def _stage(stage: dict[str, Any]) -> str:
    options = ", ".join(f"{name}={value}" for name, value in stage["options"].items())
    return f"{stage['position']}. {stage['name']}{f' ({options})' if options else ''}  [{stage['origin']}]"


def _pools(pools: dict[str, Any], own: str, other: str) -> str:
    there = pools[own]
    return (
        f"plain ones share {there['threads']} threads and CPU-bound ones {there['processes']} processes with all "
        f"{own} requests; {other} requests have their own"
    )


def _retries(retry: dict[str, Any]) -> str:
    attempts = retry["max_attempts"]
    if attempts == 1:
        return "none: one attempt"
    return (
        f"up to {attempts} attempts of an error that says retryable; waits from {retry['initial']}, "
        f"times {retry['factor']:g}, at most {retry['max']}, give or take {retry['jitter'] * 100:g} %"
    )
