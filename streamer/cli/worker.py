"""`streamer worker`."""

from __future__ import annotations

from pathlib import Path

import click

from streamer.cli.options import config_option, examples


@click.command(
    short_help="Run queued requests next to the processes that hold the connections.",
    epilog=examples(
        "streamer worker --config production.yaml",
        "streamer worker --config production.yaml --action nightly_export --action video",
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

    Its store must be one that several processes can open, and its connections such that several processes can send to
    them ('streamer list --json' shows "several_processes"). It takes requests from the same store as all others, and
    its progress and results go to the same connections. Any number of workers may run.
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
