"""`streamer export sam`: the service for AWS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from streamer.cli.options import config_option, examples
from streamer.cli.output import note, say_text


@click.command(
    "sam",
    epilog=examples(
        "streamer export sam --output template.yaml --package build/package && sam deploy --guided",
        "streamer export sam --wake streams | cfn-lint -",
        "streamer export sam -o template.yaml --package build/package --include plugins/resize.sh",
    ),
)
@config_option
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write to this file instead.")
@click.option(
    "--wake",
    type=click.Choice(["sqs", "streams"]),
    default="sqs",
    show_default=True,
    help="What wakes the processor: a queue, or the stream of the requests' table.",
)
@click.option(
    "--python",
    type=click.Choice(["3.11", "3.12", "3.13"]),
    default="3.13",
    show_default=True,
    help="The version of Python that the functions run under.",
)
@click.option(
    "--package",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Build the deployable folder here; it is replaced when it is there. Without it, the template names ./package.",
)
@click.option(
    "--include",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="A file or folder that the service needs in the package, from the configuration's folder; may be repeated.",
)
def command(
    *, config_path: Path, output: Path | None, wake: Any, python: str, package: Path | None, include: tuple[Path, ...]
) -> None:
    """Print an AWS SAM template of the whole service: WebSocket API, functions, tables, queue, roles and alarms.

    The backends must be those of AWS: `store: {use: dynamodb}` and `connections: {use: apigateway}`. Each `${NAME}` of
    the file becomes a parameter; one in a secret place has NoEcho and no default, and its value is written nowhere.
    """
    from streamer.cli.config_file import read
    from streamer.config.document import read_document
    from streamer.plugins.registry import PluginStatus
    from streamer_aws.sam.notes import left_out, notes
    from streamer_aws.sam.package import LARGEST, OWN, build
    from streamer_aws.sam.template import Choices, render, template

    if include and package is None:
        raise click.UsageError("--include is for the folder that --package builds")
    settings, registry = read(config_path)
    raw = read_document(config_path).data
    place = Path() if output is None else output.parent
    code = "./package" if package is None else Path(os.path.relpath(package, place)).as_posix()
    # Before anything is built: the file may be one that cannot be exported.
    text = render(template(settings, raw, Choices(code=code, python=python, wake=wake)))
    told = list(notes(settings, raw))
    if package is not None:
        plugins = [
            plugin.distribution
            for plugin in registry.plugins
            if plugin.status is PluginStatus.LOADED and plugin.distribution != OWN
        ]
        made = build(package.absolute(), settings, plugins, python=python, include=include)
        told += left_out(settings, raw, made.files)
        if made.size > LARGEST:
            told.append(f"{package}: it has {made.size >> 20} MB, and Lambda takes {LARGEST >> 20}; block some plugins")
        note(f"{package} is made: {made.size >> 20} MB")
    for one in told:
        note(f"note: {one}")
    if output is None:
        say_text(text)
        return
    output.write_text(text, encoding="utf-8")
    note(f"{output} is written")
