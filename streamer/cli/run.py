"""`streamer run`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from streamer.cli.options import Duration, config_option, examples


@click.command(
    short_help="Serve what the configuration file declares.",
    epilog=examples(
        "streamer run",
        "streamer run --config /etc/streamer/streamer.yaml",
        "streamer run --host 0.0.0.0 --port 9000    # needs auth in the file, or its word that anyone may connect",
        "streamer run --wait 60s    # a deploy: takes over as soon as the service before it has drained",
        "kill -TERM PID    # drains: running requests finish, or go back to the queue",
    ),
)
@config_option
@click.option("--host", help="Listen on this address instead of server.host.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen on this port instead of server.port; 0: any free.")
@click.option(
    "--wait",
    type=Duration(),
    default=0.0,
    metavar="DURATION",
    help="How long to wait for a service that still drains and has the store or the port.",
)
def command(config_path: Path, host: str | None, port: int | None, wait: float) -> None:
    """Serve what the configuration file declares, until SIGTERM or Ctrl-C.

    Logs go to standard error: for people on a terminal, JSON lines otherwise. Once the line 'ready' is written,
    requests are taken.
    """
    from streamer.cli.reading import read
    from streamer.config.access import NOBODY_ASKED, WAY_OUT, is_open
    from streamer.runtime.ending import ending_in_time
    from streamer.runtime.logs import configure, take_over
    from streamer.runtime.serve import serve
    from streamer.streams.standard import guard_service

    # Before any plugin is loaded: a reader of the log that is not there, or does not read, must not matter to it.
    guard_service()
    settings, registry = read(config_path)
    server = settings.server
    server = dataclasses.replace(
        server, host=server.host if host is None else host, port=server.port if port is None else port
    )
    if settings.auth.name == NOBODY_ASKED and is_open(server.host, settings.auth.options):
        raise click.UsageError(f"other machines can reach {server.host}, and nobody is asked who they are; {WAY_OUT}")
    logger = configure(settings.logs.level, settings.logs.format, secrets=settings.secrets)
    with ending_in_time(), take_over(logger):
        serve(dataclasses.replace(settings, server=server), registry.components, logger=logger, wait=wait)
