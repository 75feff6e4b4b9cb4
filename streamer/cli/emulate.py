"""`streamer emulate`: runs the emulators that plugins bring."""

from __future__ import annotations

from streamer.cli.commands_of_plugins import CommandsOfPlugins
from streamer.cli.options import examples

command = CommandsOfPlugins(
    name="emulate",
    kind="emulator",
    short_help="Run the service in an emulator of another platform.",
    epilog=examples("streamer emulate --help", "streamer emulate NAME --help"),
    help="Run the service on this machine in an emulator of another platform. Plugins bring the emulators: "
    "'streamer list --kind emulator' lists them.",
)
