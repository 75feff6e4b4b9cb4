"""`streamer emulate`: another platform on this machine, as plugins know them."""

from __future__ import annotations

from streamer.cli.commands_of_plugins import CommandsOfPlugins
from streamer.cli.options import examples

command = CommandsOfPlugins(
    name="emulate",
    kind="emulator",
    short_help="Run the service as another platform would.",
    epilog=examples("streamer emulate --help", "streamer emulate NAME --help"),
    help="Run the service as another platform would, on this machine. Plugins bring the platforms: 'streamer list "
    "--kind emulator' names them.",
)
