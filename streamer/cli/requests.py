"""`streamer requests`: lists and changes the requests in the store, for operators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from streamer.cli.options import config_option, examples, json_option
from streamer.cli.output import say, write_json, write_table
from streamer.cli.progress import percent

if TYPE_CHECKING:
    from streamer.contracts.stores import RequestQueue
    from streamer.core.records import RequestRecord
    from streamer.core.summaries import RequestSummary

_STATUSES = ("PENDING", "PROCESSING", "RETRYING", "COMPLETED", "FAILED", "CANCELLED")

_owner_option = click.option("--owner", help="The owner of the request, if several owners use the same id.")


@click.group(
    short_help="List, show, retry and cancel the queued requests in the store.",
    epilog=examples(
        "streamer requests list --status FAILED",
        "streamer requests show req-123",
        "streamer requests retry req-123",
    ),
)
def command() -> None:
    """List, show, retry and cancel the queued requests in the store of the configuration file.

    The service may be running or stopped.
    """


@command.command(
    "list",
    epilog=examples(
        "streamer requests list",
        "streamer requests list --status PROCESSING --action generate_report",
        "streamer requests list --status FAILED --limit 1000 --json | jq -r .id | xargs -n1 streamer requests retry",
    ),
)
@config_option
@click.option("--status", type=click.Choice(_STATUSES, case_sensitive=False), help="Only requests with this status.")
@click.option("--action", help="Only requests for this action.")
@click.option("--owner", help="Only requests of this owner.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="The maximum number of requests.")
@click.option("--json", "as_json", is_flag=True, help="Write one JSON object per line.")
def list_requests(
    *, config_path: Path, status: str | None, action: str | None, owner: str | None, limit: int, as_json: bool
) -> None:
    """List queued requests, newest first.

    With --status FAILED (the dead letters) it also shows when each request ended, after how many attempts, and why.
    """
    from streamer.cli.stored import newest, summary, with_store
    from streamer.core.clock import SystemClock
    from streamer.core.records import Status

    wanted = None if status is None else Status(status.upper())
    records = with_store(config_path, lambda store: newest(store, limit, owner=owner, status=wanted, action=action))
    if as_json:
        for record in records:
            write_json(summary(record), pretty=False)
        return
    if wanted is Status.FAILED:
        now = SystemClock.now()
        write_table(
            ("ID", "ACTION", "FAILED", "ATTEMPTS", "ERROR", "MESSAGE"),
            [_dead_letter(record, now) for record in records],
            folding=["MESSAGE"],
        )
        return
    write_table(
        ("ID", "STATUS", "ACTION", "CREATED", "ATTEMPT", "DONE", "MESSAGE"), [*map(_row, records)], folding=["MESSAGE"]
    )


@command.command(
    "show",
    epilog=examples(
        "streamer requests show req-123",
        "streamer requests show req-123 | jq .history",
        "streamer requests show req-123 | jq -r '.history[-1].cause.traceback[]'",
        "streamer requests show req-123 --owner client:8f3a",
    ),
)
@click.argument("request_id", metavar="ID")
@config_option
@_owner_option
@json_option
def show(request_id: str, config_path: Path, owner: str | None, as_json: bool) -> None:
    """Print everything that is stored about one request as JSON, including its payload and result.

    This includes the owner, and for each attempt that did not complete the request its time, its worker, how it ended,
    and the exception with its traceback, which clients never see. With --json the output is one line.
    """
    from streamer.cli.stored import find_one, whole, with_store

    record = with_store(config_path, lambda store: find_one(store, request_id, owner))
    write_json(whole(record), pretty=not as_json)


@command.command(
    "retry",
    epilog=examples("streamer requests retry req-123", "streamer requests retry req-123 --owner client:8f3a --json"),
)
@click.argument("request_id", metavar="ID")
@config_option
@_owner_option
@json_option
def retry(request_id: str, config_path: Path, owner: str | None, as_json: bool) -> None:
    """Run a FAILED or CANCELLED request again, with all its attempts.

    The request keeps its payload and does not expire in the queue. The history of its earlier attempts is kept, and the
    new outcome is sent to its owner.
    """
    from streamer.cli.stored import find_one, with_store

    async def requeue(store: RequestQueue) -> RequestRecord:
        return await store.requeue((await find_one(store, request_id, owner)).key)

    _print_change(with_store(config_path, requeue), as_json=as_json)


@command.command(
    "cancel",
    epilog=examples("streamer requests cancel req-123", "streamer requests cancel req-123 --message 'Wrong month'"),
)
@click.argument("request_id", metavar="ID")
@config_option
@_owner_option
@click.option(
    "--message",
    default="An operator cancelled the request",
    show_default=True,
    help="The message for the request's owner.",
)
@json_option
def cancel(request_id: str, config_path: Path, owner: str | None, message: str, as_json: bool) -> None:
    """Cancel a queued or running request; it ends as CANCELLED.

    A worker that runs the request stops it at its next write, at the latest when it renews its lease.
    """
    from streamer.cli.stored import find_one, with_store

    async def end(store: RequestQueue) -> RequestRecord:
        return await store.cancel((await find_one(store, request_id, owner)).key, message)

    _print_change(with_store(config_path, end), as_json=as_json)


def _row(record: RequestSummary) -> tuple[str, ...]:
    from streamer.core.clock import timestamp

    message = record.message if record.error is None else f"{record.error.code}: {record.error.message}"
    return (
        record.id,
        record.status.value,
        record.action,
        f"{timestamp(record.created_at)[:-5]}Z",
        f"{record.attempts}/{record.max_attempts}",
        percent(record.percentage),
        message,
    )


def _dead_letter(record: RequestSummary, now: float) -> tuple[str, ...]:
    ended = record.updated_at if record.finished_at is None else record.finished_at
    error = record.error
    return (
        record.id,
        record.action,
        _ago(now - ended),
        f"{record.attempts}/{record.max_attempts}",
        "" if error is None else error.code,
        "" if error is None else error.message,
    )


def _ago(seconds: float) -> str:
    """The time since then, in its largest unit."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} ago"
    return f"{max(int(seconds), 0)}s ago"


def _print_change(record: RequestRecord, *, as_json: bool) -> None:
    from streamer.cli.stored import summary

    if as_json:
        write_json(summary(record), pretty=False)
    else:
        say(f"{record.id} is {record.status.value}")
