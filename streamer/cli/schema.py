"""`streamer schema`."""

from __future__ import annotations

from pathlib import Path

import click

from streamer.cli.options import config_option, examples
from streamer.cli.output import json_bytes, note, write_json


@click.command(
    short_help="Print the JSON Schema of the configuration file, for editors.",
    epilog=examples(
        "streamer schema --output .streamer.schema.json",
        "streamer schema | jq .properties.actions",
        "",
        "Then add this as the first line of streamer.yaml:",
        "# yaml-language-server: $schema=./.streamer.schema.json",
    ),
)
@config_option
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file instead of standard output.",
)
def command(config_path: Path, output: Path | None) -> None:
    """Print the JSON Schema of the configuration file, including the options of every installed plugin. With it, an
    editor completes and checks the file.

    The file is read only for plugins.allow and plugins.block.
    """
    from streamer.cli.config_file import find_components, read_plugin_settings
    from streamer.config import editor_schema

    schema = editor_schema(find_components(read_plugin_settings(config_path)).components)
    if output is None:
        write_json(schema)
        return
    output.write_bytes(json_bytes(schema) + b"\n")
    note(f"{output}: written")
