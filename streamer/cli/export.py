"""`streamer export`: runs the exports that are built in and those that plugins bring."""

from __future__ import annotations

from streamer.cli.commands_of_plugins import CommandsOfPlugins
from streamer.cli.options import examples

command = CommandsOfPlugins(
    name="export",
    kind="export",
    short_help="Export what monitors and deploys the service.",
    epilog=examples(
        "streamer export --help", "streamer export NAME --help", "streamer export grafana > dashboard.json"
    ),
    help="Export what monitors the service, and what the deployment tools of a provider need. Plugins bring further "
    "formats: 'streamer list --kind export' lists them.",
)
