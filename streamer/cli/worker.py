"""`streamer worker`."""

from __future__ import annotations

from pathlib import Path

import click

from streamer.cli.options import config_option, examples


@click.command(
    short_help="Run queued requests of connections that API Gateway holds.",
    epilog=examples(
        "streamer worker --config aws.yaml",
        "streamer worker --config aws.yaml --action nightly_export --action video",
        "kill -TERM PID    # drains: running requests finish, or go back to the queue",
    ),
)
@config_option
@click.option(
    "--action",
    "actions",
    multiple=True,
    metavar="NAME",
    help="Only requests of this action; may be repeated. Of all actions when left out.",
)
def command(config_path: Path, actions: tuple[str, ...]) -> None:
    """Run queued requests, in a container or on any machine, until SIGTERM or Ctrl-C.

    It takes them from the same table as the functions on Lambda, and its progress and results go the same way to the
    same connections. What takes longer than Lambda's 15 minutes is left to it; of the rest it takes what it gets first.
    Any number of workers may run.
    """
    from streamer.cli.reading import read
    from streamer.runtime.ending import ending_in_time
    from streamer.runtime.logs import configure, take_over
    from streamer.runtime.work import work
    from streamer.streams.standard import guard_service

    guard_service()
    settings, registry = read(config_path)
    unknown = sorted(set(actions) - set(settings.actions))
    if unknown:
        raise click.UsageError(
            f"--action {unknown[0]}: {config_path} declares no such action; there are {', '.join(settings.actions)}"
        )
    logger = configure(settings.logs.level, settings.logs.format, secrets=settings.secrets)
    with ending_in_time(), take_over(logger):
        work(settings, registry.components, logger=logger, actions=actions)
