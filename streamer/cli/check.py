"""`streamer check`."""

from __future__ import annotations

from pathlib import Path

import click

from streamer.cli import exits
from streamer.cli.options import config_option, examples
from streamer.cli.output import note, say


@click.command(
    short_help="Check the configuration file and list every problem.",
    epilog=examples(
        "streamer check",
        "streamer check --config production.yaml",
        "streamer check && streamer run",
    ),
)
@click.option("--strict", is_flag=True, help="Exit with status 1 for warnings too.")
@config_option
def command(config_path: Path, strict: bool) -> None:
    """Check the configuration file, its schemas and the plugins that it uses. Nothing is started.

    Each problem is one line on standard output: FILE:LINE:COLUMN: CODE: PLACE: DESCRIPTION. A warning has the word
    'warning' before its code. The exit status is 0 without problems and 1 otherwise; warnings count only with --strict.
    """
    from streamer.cli.config_file import read
    from streamer.core.errors import ConfigError

    try:
        settings, registry = read(config_path, examined=True)
    except ConfigError as error:
        problems = [str(problem) for problem in error.problems]
    else:
        for warning in settings.warnings:
            say(str(warning))
        if strict and settings.warnings:
            note(f"streamer: {config_path} has {_count(len(settings.warnings), 'warning')}")
            click.get_current_context().exit(exits.FAILED)
        counts = (
            _count(len(settings.actions), "action"),
            f"{len(settings.middleware)} middleware",
            _count(len(registry.components), "component"),
            _count(len({found.distribution for found in registry.components.values()}), "distribution"),
        )
        say(f"{config_path}: no problems: checked {counts[0]}, {counts[1]}; {counts[2]} of {counts[3]} installed")
        return
    for problem in problems:
        say(problem)
    note(f"streamer: {config_path} has {_count(len(problems), 'problem')}")
    click.get_current_context().exit(exits.FAILED)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
