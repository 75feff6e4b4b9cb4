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
        "streamer explain create_user --wait 100ms    # for a client that waits 100 ms",
        "streamer explain echo --json | jq .decision",
    ),
)
@click.argument("action")
@config_option
@click.option(
    "--wait", type=Duration(), help="Explain the decision for a client that waits this long for a direct answer."
)
@json_option
def command(action: str, config_path: Path, wait: float | None, as_json: bool) -> None:
    """Explain what happens to a request for ACTION: how its payload is validated, which middleware and handler process
    it, whether it is answered at once or queued and why, and how it is retried.
    """
    from streamer.cli.action_plan import explain
    from streamer.cli.config_file import read

    settings, registry = read(config_path)
    if action not in settings.actions:
        close = difflib.get_close_matches(action, settings.actions, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"its actions are: {', '.join(settings.actions) or 'none'}"
        raise click.ClickException(f"{config_path} has no action {action!r} ({hint})")
    plan = explain(settings, registry, settings.actions[action], wait)
    if as_json:
        write_json(plan)
    else:
        write_facts(_facts(plan))


def _facts(plan: dict[str, Any]) -> list[tuple[str, str]]:
    handler, decision, validator, retry = plan["handler"], plan["decision"], plan["validator"], plan["retry"]
    queued = decision["queued"]
    return [
        ("action", plan["action"]),
        ("description", plan["description"]),
        ("handler", f"{handler['name']} ({handler['origin']}, {handler['stability']})"),
        ("permissions", ", ".join(plan["permissions"]) or "none: every client that may connect may send it"),
        ("validator", validator["source"] if validator is not None else "none: every payload is accepted"),
        ("pipeline", "\n".join(_stage(stage) for stage in plan["pipeline"])),
        ("decision", f"{'queued' if queued else 'answered at once'}: {decision['why']}"),
        ("timeout", f"{plan['timeout']} per attempt" if plan["timeout"] else "none"),
        ("retry", _retries(retry) + ("" if queued else " (for queued requests)")),
        (
            "concurrency",
            f"at most {plan['concurrency']} at the same time" if plan["concurrency"] else "limited by the worker only",
        ),
        ("functions", _pools(plan["pools"], "queued" if queued else "direct", "direct" if queued else "queued")),
        ("priority", str(plan["priority"])),
    ]


def _stage(stage: dict[str, Any]) -> str:
    options = ", ".join(f"{name}={value}" for name, value in stage["options"].items())
    return f"{stage['position']}. {stage['name']}{f' ({options})' if options else ''}  [{stage['origin']}]"


def _pools(pools: dict[str, Any], own: str, other: str) -> str:
    pool = pools[own]
    return (
        f"plain functions share {pool['threads']} threads, and CPU-bound ones {pool['processes']} processes, with all "
        f"{own} requests; {other} requests have their own"
    )


def _retries(retry: dict[str, Any]) -> str:
    attempts = retry["max_attempts"]
    if attempts == 1:
        return "none: one attempt"
    return (
        f"up to {attempts} attempts if the error is retryable; the first wait is {retry['initial']}, "
        f"each next one {retry['factor']:g} times as long, at most {retry['max']}; "
        f"each varies by {retry['jitter'] * 100:g} %"
    )
