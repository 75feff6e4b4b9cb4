"""`streamer export sam`: exports the service for AWS."""

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
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file instead of standard output.",
)
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
    help="The Python version of the functions.",
)
@click.option(
    "--package",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Build the deployment package in this folder, replacing it. Default: the template refers to ./package.",
)
@click.option(
    "--include",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="PATH",
    help="A file or folder that the package must contain, relative to the configuration's folder; can be repeated.",
)
def command(
    *, config_path: Path, output: Path | None, wake: Any, python: str, package: Path | None, include: tuple[Path, ...]
) -> None:
    """Print an AWS SAM template of the whole service: WebSocket API, functions, tables, queue, roles and alarms.

    The backends must be `store: {use: dynamodb}` and `connections: {use: apigateway}`. Each `${NAME}` in the file
    becomes a parameter. A parameter for a secret has NoEcho and no default, and the secret is not written anywhere.
    """
    from streamer.cli.config_file import read
    from streamer.config.document import read_document
    from streamer.plugins.registry import PluginStatus
    from streamer_aws.sam.notes import left_out, notes
    from streamer_aws.sam.package import LARGEST, OWN, build
    from streamer_aws.sam.template import Choices, render, template

    if include and package is None:
        raise click.UsageError("--include requires --package")
    settings, registry = read(config_path)
    raw = read_document(config_path).data
    place = Path() if output is None else output.parent
    code = "./package" if package is None else Path(os.path.relpath(package, place)).as_posix()
    # Before anything is built: the file may not be exportable.
    text = render(template(settings, raw, Choices(code=code, python=python, wake=wake)))
    lines = list(notes(settings, raw))
    if package is not None:
        plugins = [
            plugin.distribution
            for plugin in registry.plugins
            if plugin.status is PluginStatus.LOADED and plugin.distribution != OWN
        ]
        made = build(package.absolute(), settings, plugins, python=python, include=include)
        lines += left_out(settings, raw, made.files)
        if made.size > LARGEST:
            lines.append(
                f"{package}: it has {made.size >> 20} MB, but Lambda accepts {LARGEST >> 20}; block some plugins"
            )
        note(f"{package}: created, {made.size >> 20} MB")
    for one in lines:
        note(f"note: {one}")
    if output is None:
        say_text(text)
        return
    output.write_text(text, encoding="utf-8")
    note(f"{output}: written")
