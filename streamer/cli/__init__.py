"""The command line: one module a command, each importing what it needs only when it runs."""

from __future__ import annotations


def main() -> None:
    """Runs the command line of this process and exits with its status."""
    from streamer.cli.app import app

    app.main(prog_name="streamer")
