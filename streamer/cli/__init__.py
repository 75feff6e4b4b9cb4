"""The command line. Each command is a module that imports its dependencies only when it runs."""

from __future__ import annotations


def main() -> None:
    """Runs the command line of this process and exits with its status."""
    from streamer.streams import standard

    # Must come before anything opens a file or a socket, which could get the descriptor of a closed standard stream.
    standard.reopen()
    standard.keep_stdout()
    from streamer.cli.app import app

    app.main(prog_name="streamer")
