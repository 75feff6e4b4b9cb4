"""The command `streamer`."""

from __future__ import annotations

from typing import Final

import click

import streamer
from streamer.cli.group import Commands
from streamer.cli.options import examples

PLACES: Final = {
    "run": "streamer.cli.run",
    "worker": "streamer.cli.worker",
    "check": "streamer.cli.check",
    "list": "streamer.cli.list",
    "explain": "streamer.cli.explain",
    "config": "streamer.cli.config",
    "schema": "streamer.cli.schema",
    "call": "streamer.cli.call",
    "requests": "streamer.cli.requests",
    "backend": "streamer.cli.backend",
    "export": "streamer.cli.export",
    "token": "streamer.cli.token",
    "emulate": "streamer.cli.emulate",
}
"""Each command's module, in the order of `streamer --help`."""


@click.group(
    cls=Commands,
    places=PLACES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=examples(
        "streamer check                          Check streamer.yaml and list every problem",
        "streamer run                            Serve what ./streamer.yaml declares",
        'streamer call echo \'{"hello": "world"}\'  Send a request to the running service, from a second terminal',
        "streamer explain generate_report        Explain why a request is queued and what processes it",
        "streamer requests list --status FAILED  List failed requests",
    )
    + "\n\nPlugins can add commands: 'streamer list --kind command' lists them.",
)
@click.version_option(streamer.__version__, "-V", "--version", prog_name="streamer", message="%(prog)s %(version)s")
@click.option(
    "--debug", is_flag=True, envvar="STREAMER_DEBUG", show_envvar=True, help="Show the traceback of an error."
)
def app(debug: bool) -> None:
    """Serves requests over WebSockets as declared in streamer.yaml. Short work is answered at once. Long work is queued
    durably; its progress and result are sent to the client.
    """
    del debug  # The group reads it when it prints an error.
