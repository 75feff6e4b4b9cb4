"""`streamer worker`."""

from __future__ import annotations

from pathlib import Path

import click

from streamer.cli.options import config_option, examples


@click.command(
    short_help="Run queued requests in a process that holds no connections.",
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
    help="Run only requests for this action; can be repeated. Default: all actions.",
)
def command(config_path: Path, actions: tuple[str, ...]) -> None:
    """Run queued requests, in a container or on any machine, until SIGTERM or Ctrl-C.

    The store must be one that several processes can open, and the connections such that several processes can send to
    them ('streamer list --json' shows "several_processes"). Every worker takes requests from the same store and sends
    progress and results to the same connections. Any number of workers can run.
    """
    from streamer.cli.config_file import read
    from streamer.runtime.logs import configure, take_over
    from streamer.runtime.process_exit import exiting_in_time
    from streamer.runtime.work import work
    from streamer.streams.standard import guard_service

    guard_service()
    settings, registry = read(config_path)
    unknown = sorted(set(actions) - set(settings.actions))
    if unknown:
        raise click.UsageError(
            f"--action {unknown[0]}: {config_path} has no such action; it has {', '.join(settings.actions)}"
        )
    logger = configure(settings.logs.level, settings.logs.format, secrets=settings.secrets)
    with exiting_in_time(), take_over(logger):
        work(settings, registry.components, logger=logger, actions=actions)
