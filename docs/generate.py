"""Generates reference pages from the code: `python docs/generate.py`. A test fails when one is out of date."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from streamer.cli.app import app
from streamer.config import CODES
from streamer.config.problems import WARNINGS
from streamer.config.settings import PluginSettings
from streamer.config.shape import file_schema
from streamer.contracts.components import BuildContext, Component, Kind
from streamer.plugins.manager import discover
from streamer.runtime import builtins

ROOT = Path(__file__).parent
GOLDEN = ROOT.parent / "tests/unit/config/golden"


def command_line() -> str:
    """The help of every command."""
    parts = [
        "# Command line\n",
        "The output of `--help` for every command. The default of `--config` is the variable `STREAMER_CONFIG`,",
        "or else `./streamer.yaml`.\n",
    ]
    with tempfile.TemporaryDirectory() as folder:
        # The plugins installed on this machine must not appear in the page.
        config = Path(folder, "streamer.yaml")
        config.write_text("version: 1\nplugins: {allow: []}\n")
        before = os.environ.get("STREAMER_CONFIG")
        os.environ["STREAMER_CONFIG"] = str(config)
        try:
            parts += _help(app, "streamer")
        finally:
            del os.environ["STREAMER_CONFIG"]
            if before is not None:
                os.environ["STREAMER_CONFIG"] = before
    return "\n".join(parts)


def _help(command: click.Command, name: str, parent: click.Context | None = None) -> list[str]:
    # Includes the command's own settings: a command caches the help option of the first context that uses it.
    asked = {**command.context_settings, "max_content_width": 100, "terminal_width": 100}
    context = click.Context(command, info_name=name.rpartition(" ")[2], parent=parent, **asked)
    parts = [f"## {name}\n", f"```text\n{command.get_help(context).rstrip()}\n```\n"]
    if isinstance(command, click.Group):
        for child_name in command.list_commands(context):
            child = command.get_command(context, child_name)
            if child is not None:
                parts += _help(child, f"{name} {child_name}", context)
    return parts


def components() -> str:
    """The built-in components with their options."""
    registry = discover(PluginSettings(allow=()), builtins=[builtins])
    parts = [
        "# Built-in components\n",
        "`streamer list` shows the components of installed plugins. Those of the AWS plugin are in [AWS](aws.md).\n",
    ]
    parts += _by_kind(registry.components.values())
    return "\n".join(parts)


def aws() -> str:
    """The commands and components of the AWS plugin."""
    plugin = import_module("streamer_aws.plugin")
    parts = [
        "# AWS\n",
        'Components and commands of the plugin `streamer-aws`. `pip install "streamer-router[aws]"` installs it;',
        "`pip install -e . -e plugins/aws` installs it from a checkout.\n",
        *_by_kind(plugin.streamer_backends()),
    ]
    context = BuildContext(base_dir=ROOT)
    groups = {Kind.EXPORT: "export", Kind.EMULATOR: "emulate"}
    program = click.Context(app, info_name="streamer", **app.context_settings)
    for component in plugin.streamer_commands():
        group = groups[component.kind]
        within = click.Context(click.Group(group), info_name=group, parent=program)
        parts += _help(component.factory({}, context), f"streamer {group} {component.full_name}", within)
    return "\n".join(parts)


def _by_kind(components: Iterable[Component]) -> list[str]:
    parts = []
    ordered = sorted(components, key=lambda one: one.full_name)
    for kind in (Kind.HANDLER, Kind.MIDDLEWARE, Kind.STORE, Kind.CONNECTIONS, Kind.AUTH):
        made = [_component(one) for one in ordered if one.kind is kind]
        if made:
            parts += [f"## {kind.value.capitalize()}\n", *made]
    return parts


def _component(component: Component) -> str:
    lines = [f"### {component.full_name}\n", f"{component.summary}. Stability: {component.stability.value}.\n"]
    if component.capabilities:
        lines.append(f"Declares: {', '.join(f'`{name}`' for name in component.capabilities)}.\n")
    properties: Mapping[str, Any] = component.options.get("properties", {})
    if properties:
        lines += ["| option | type | default | meaning |", "| --- | --- | --- | --- |"]
        required = component.options.get("required", ())
        for name, described in properties.items():
            default = "required" if name in required else f"`{described['default']}`" if "default" in described else ""
            meaning = str(described.get("description", "")).replace("|", "\\|")
            lines.append(f"| `{name}` | {_value_type(described)} | {default} | {meaning} |")
        lines.append("")
    return "\n".join(lines)


def configuration() -> str:
    """Every section and key of the file, from its schema."""
    schema = file_schema()
    parts = [
        "# streamer.yaml\n",
        "This page is generated from `schemas/streamer.schema.json`, which editors can use. Relative paths start from",
        "the folder of the file.",
        "`${NAME}` and `${NAME:-default}` are replaced by environment variables; write `$${` for a literal `${`.\n",
    ]
    parts += _section("", schema)
    return "\n".join(parts)


def _section(place: str, schema: Mapping[str, Any]) -> list[str]:
    lines = []
    if place:
        lines += [f"## {place}\n", f"{schema['description']}.\n"]
    lines += ["| key | type | default | meaning |", "| --- | --- | --- | --- |"]
    inner: list[str] = []
    for name, described in schema["properties"].items():
        path = f"{place}.{name}" if place else name
        required = name in schema.get("required", ())
        default = "required" if required else f"`{json.dumps(described['default'])}`" if "default" in described else ""
        meaning = str(described.get("description", "")).replace("|", "\\|")
        lines.append(f"| `{name}` | {_value_type(described)} | {default} | {meaning} |")
        one_of_many = described.get("additionalProperties")
        if isinstance(one_of_many, Mapping) and "properties" in one_of_many:
            inner += _section(f"{path}.NAME", one_of_many)
        elif "use" not in described.get("properties", {"use": ()}):
            inner += _section(path, described)
    return [*lines, "", *inner]


def _value_type(described: Mapping[str, Any]) -> str:
    if "$ref" in described:
        return str(described["$ref"]).rpartition("/")[2]
    if "enum" in described:
        return ", ".join(f"`{choice}`" for choice in described["enum"])
    if "const" in described:
        return f"`{described['const']}`"
    items = described.get("items", {})
    if "enum" in items:
        return f"array of {_value_type(items)}"
    return _type(described)


def problems() -> str:
    """Every code that `streamer check` reports, with an example from its test."""
    parts = [
        "# Problems of the file\n",
        "`streamer check` reports every problem at once, one per line: `file:line:column: code: place: message`.",
        "This page lists the codes with their meanings and examples.\n",
    ]
    for code, meaning in CODES.items():
        lines = (GOLDEN / code / "expected.txt").read_text().splitlines()
        example = next(line for line in lines if f": {code}: " in line)
        parts.append(f"## {code}\n\n{meaning}.\n\n```text\n{example}\n```\n")
    parts.append("# Warnings\n\nWarnings do not prevent a start. `streamer check --strict` fails if there are any.\n")
    for code, meaning in WARNINGS.items():
        example = (GOLDEN.parent / "warnings" / f"{code}.txt").read_text().strip()
        parts.append(f"## {code}\n\n{meaning}.\n\n```text\n{example}\n```\n")
    return "\n".join(parts)


def _type(described: Mapping[str, Any]) -> str:
    kind = described.get("format") or described.get("type") or "any"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


ADMIN_HEAD = """\
# Admin port

`admin: {enabled: true}` opens it, on `127.0.0.1:8081` by default; see [Monitor a service](../how-to/monitor.md). If it
has a token, `/metrics` and `/admin/v1` require it; the probes never do.

## Endpoints
"""
ADMIN_RULES = """
Errors under `/admin/v1` are `{"error": "…"}`: 400 for an invalid query or body, 404, 409 when the state of a request
does not allow the change or several owners have its id (choose one with `?owner=`), 503 when the store or the event
loop does not answer. A page has up to 200 items (`limit`, 50 by default); pass `cursor` back for the next one.
Payloads and results are shown only with `include=payload,result`, up to 64 KiB each.

A change (`POST`) needs a header that a page of another site cannot send: `Authorization`, or
`Sec-Fetch-Site: same-origin`. The header `Host` must be an IP address, `localhost`, `admin.host` or one of
`admin.allowed_hosts`.

Each connection has one request and at most 30 seconds. There are at most 100 connections; one more closes the oldest.

## Metrics

No label has a value that a client can choose: an action that is not declared is `_unknown`, and a code that is not one
of the service's own is `_other`. The metrics of the Python process (`process_…`, `python_…`) are served too.
"""


def admin_port() -> str:
    """What the admin port answers, and every metric."""
    api = import_module("streamer.admin.api").Api
    probes = import_module("streamer.admin.probes").Probes
    parts = [ADMIN_HEAD, "| request | answer |", "| --- | --- |"]
    for kind in (probes, api):
        # Only what the methods say of themselves is needed, none of what they use.
        for (method, path), handler in kind.routes(object.__new__(kind)).items():
            parts.append(f"| `{method} {path}` | {' '.join((handler.__doc__ or '').split())} |")
    parts += [ADMIN_RULES, "| metric | type | labels | meaning |", "| --- | --- | --- | --- |"]
    for family in _families():
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = ", ".join(f"`{name}`" for name in family._labelnames)  # noqa: SLF001 - the library has no other way
        parts.append(f"| `{family.name}{suffix}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join([*parts, ""])


def _families() -> Iterable[Any]:
    exposition = import_module("streamer.admin.exposition")
    counts = import_module("streamer.admin.counters").Counts()
    gauges = exposition.Gauges(
        connections=lambda: 0,
        running=dict,
        slots=0,
        stored=dict,
        estimates={},
        draining=lambda: False,
        problems=lambda: 0,
        build={},
    )
    return exposition.ServiceCollector(counts, gauges).collect()


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/configuration.md": configuration,
    "reference/problems.md": problems,
    "reference/command-line.md": command_line,
    "reference/components.md": components,
}
if find_spec("streamer_aws") is not None:
    PAGES = {**PAGES, "reference/aws.md": aws}
if find_spec("prometheus_client") is not None:
    PAGES = {**PAGES, "reference/admin.md": admin_port}


def main() -> int:
    """Writes every page that has changed."""
    for name, make in PAGES.items():
        path = ROOT / name
        made = make()
        if not path.exists() or path.read_text() != made:
            path.write_text(made)
            sys.stdout.write(f"{path}: written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
