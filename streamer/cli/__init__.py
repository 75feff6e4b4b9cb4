"""The command line: one module a command, each importing what it needs only when it runs."""

from __future__ import annotations


def main() -> None:
    """Runs the command line of this process and exits with its status."""
    from streamer.streams import standard

    # Before anything opens a file or a socket, which would get the number of a stream that is closed.
    standard.reopen()
    standard.keep_stdout()
    from streamer.cli.app import app

    app.main(prog_name="streamer")
