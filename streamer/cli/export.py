"""`streamer export`: the service for other places, as plugins know them."""

from __future__ import annotations

from streamer.cli.commands_of_plugins import CommandsOfPlugins
from streamer.cli.options import examples

command = CommandsOfPlugins(
    name="export",
    kind="export",
    short_help="Write what a provider's own tools deploy.",
    epilog=examples("streamer export --help", "streamer export NAME --help"),
    help="Write what a provider's own tools deploy. Plugins bring the formats: 'streamer list --kind "
    "export' names them.",
)
