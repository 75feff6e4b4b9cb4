"""`streamer run`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from streamer.cli.options import Duration, config_option, examples


@click.command(
    short_help="Serve the actions of the configuration file.",
    epilog=examples(
        "streamer run",
        "streamer run --config /etc/streamer/streamer.yaml",
        "streamer run --host 0.0.0.0 --port 9000    # other machines can connect; set auth first",
        "streamer run --wait 60s    # for a deploy: starts as soon as the previous service has drained",
        "kill -TERM PID    # drains: running requests finish, or return to the queue",
    ),
)
@config_option
@click.option("--host", help="Listen on this address instead of server.host.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Listen on this port instead of server.port; 0 means any free port."
)
@click.option(
    "--wait",
    type=Duration(),
    default=0.0,
    metavar="DURATION",
    help="How long to wait for a draining service that still uses the store or the port.",
)
def command(config_path: Path, host: str | None, port: int | None, wait: float) -> None:
    """Serve the actions of the configuration file, until SIGTERM or Ctrl-C.

    Logs are written to standard error: readable text on a terminal, JSON lines otherwise. The service accepts requests
    once it has written the line 'ready'.
    """
    from streamer.cli.config_file import read
    from streamer.config.access import HOW_TO_FIX, NOBODY_ASKED, is_open
    from streamer.runtime.logs import configure, take_over
    from streamer.runtime.process_exit import exiting_in_time
    from streamer.runtime.serve import serve
    from streamer.streams.standard import guard_service

    # Before any plugin is loaded: a missing or slow reader of the log must not block it.
    guard_service()
    settings, registry = read(config_path)
    server = settings.server
    server = dataclasses.replace(
        server, host=server.host if host is None else host, port=server.port if port is None else port
    )
    if settings.auth.name == NOBODY_ASKED and is_open(server.host, settings.auth.options):
        raise click.UsageError(
            f"other machines can reach {server.host}, and clients are not authenticated; {HOW_TO_FIX}"
        )
    logger = configure(settings.logs.level, settings.logs.format, secrets=settings.secrets)
    with exiting_in_time(), take_over(logger):
        serve(dataclasses.replace(settings, server=server), registry.components, logger=logger, wait=wait)
