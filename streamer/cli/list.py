"""`streamer list`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from streamer.cli.options import config_option, examples, json_option
from streamer.cli.output import note, write_json, write_table

if TYPE_CHECKING:
    from streamer.contracts.components import Component
    from streamer.plugins.registry import PluginInfo

KINDS = ("handler", "middleware", "store", "connections", "auth", "command", "export", "emulator")


@click.command(
    short_help="List the installed components.",
    epilog=examples(
        "streamer list",
        "streamer list --kind handler",
        "streamer list --json | jq -r '.components[] | select(.kind == \"handler\") | .name'",
    ),
)
@config_option
@click.option("--kind", type=click.Choice(KINDS), help="List only components of this kind.")
@json_option
def command(config_path: Path, kind: str | None, as_json: bool) -> None:
    """List the installed components that the configuration file can use, each with its origin, version, stability and
    options. Required options are marked with *.

    The file is read only for plugins.allow and plugins.block. Without a file, every installed component is listed.
    """
    from streamer.cli.config_file import find_components, read_plugin_settings

    registry = find_components(read_plugin_settings(config_path))
    components = [found for found in registry.components.values() if kind is None or found.kind == kind]
    if as_json:
        write_json(
            {
                "components": [_described(component) for component in components],
                "plugins": [_plugin(plugin) for plugin in registry.plugins],
            }
        )
        return
    write_table(
        ("KIND", "NAME", "ORIGIN", "STABILITY", "OPTIONS", "SUMMARY"),
        [
            (
                component.kind.value,
                component.full_name,
                f"{component.distribution} {component.version}".strip(),
                component.stability.value,
                " ".join(_options(component)),
                component.summary,
            )
            for component in components
        ],
        folding=["OPTIONS", "SUMMARY"],
    )
    for plugin in registry.plugins:
        if plugin.status.value == "blocked":
            note(f"not loaded: {plugin.name} of {plugin.origin}: {plugin.reason}")


def _options(component: Component) -> list[str]:
    required = component.options.get("required", ())
    return [f"{name}{'*' * (name in required)}" for name in component.options.get("properties", {})]


def _described(component: Component) -> dict[str, Any]:
    return {
        "kind": component.kind.value,
        "name": component.full_name,
        "distribution": component.distribution,
        "version": component.version,
        "stability": component.stability.value,
        "summary": component.summary,
        "capabilities": list(component.capabilities),
        "options": component.options,
        "schema": component.schema,
        "result_schema": component.result_schema,
        "estimated_duration": component.estimated_duration,
    }


def _plugin(plugin: PluginInfo) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "status": plugin.status.value,
        "reason": plugin.reason,
    }
