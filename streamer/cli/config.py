"""`streamer config`."""

from __future__ import annotations

from pathlib import Path

import click

from streamer.cli.options import config_option, examples
from streamer.cli.output import say_text


@click.command(
    short_help="Print the effective settings, with secrets hidden.",
    epilog=examples(
        "streamer config",
        "streamer config --config production.yaml | less",
        "diff <(streamer config -c a.yaml) <(streamer config -c b.yaml)",
    ),
)
@config_option
def command(config_path: Path) -> None:
    """Print the effective settings: the file with every default and environment variable filled in.

    Secrets are hidden.
    """
    from streamer.cli.config_file import read
    from streamer.config import dump

    settings, _ = read(config_path)
    say_text(dump(settings))
