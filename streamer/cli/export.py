"""`streamer export`: runs the exports that plugins bring."""

from __future__ import annotations

from streamer.cli.commands_of_plugins import CommandsOfPlugins
from streamer.cli.options import examples

command = CommandsOfPlugins(
    name="export",
    kind="export",
    short_help="Export the service for the deployment tools of a provider.",
    epilog=examples("streamer export --help", "streamer export NAME --help"),
    help="Export the service for the deployment tools of a provider. Plugins bring the formats: 'streamer list --kind "
    "export' lists them.",
)
