"""Checked data to frozen settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamer.config.settings import (
    ActionSettings,
    BackendSettings,
    ComponentUse,
    LogSettings,
    PluginSettings,
    RetrySettings,
    ServerSettings,
    ServiceSettings,
    Settings,
    TlsSettings,
    WorkerSettings,
)
from streamer.config.shape import file_schema
from streamer.contracts.components import Component, Kind
from streamer.core.units import parse_duration, parse_size

_UNITS = {"#/$defs/duration": parse_duration, "#/$defs/size": parse_size}

Components = Mapping[tuple[Kind, str], Component]


def section(data: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A section's values with defaults filled in, durations as seconds and sizes as bytes, lists as tuples."""
    made: dict[str, Any] = {}
    for name, described in schema["properties"].items():
        value = data.get(name, described.get("default"))
        if value is None:
            continue
        convert = _UNITS.get(described.get("$ref", ""))
        if convert is not None:
            value = convert(value)
        made[name] = tuple(value) if isinstance(value, list) else value
    return made


def plugin_settings(data: Any) -> PluginSettings:
    """The plugins section, as far as it is sound: it is needed before everything else can be checked."""
    given = data.get("plugins") if isinstance(data, Mapping) else None
    if not isinstance(given, Mapping):
        return PluginSettings()
    allow, block = given.get("allow"), given.get("block")
    return PluginSettings(
        allow=tuple(map(str, allow)) if isinstance(allow, list) else None,
        block=tuple(map(str, block)) if isinstance(block, list) else (),
    )


def component_use(value: Any, kind: Kind, components: Components) -> ComponentUse:
    """A name, or an object with `use`, with the component's defaults filled in."""
    if isinstance(value, str):
        value = {"use": value}
    name = value["use"]
    options = {key: item for key, item in value.items() if key != "use"}
    return ComponentUse(name=name, options=with_defaults(options, components[kind, name]))


def with_defaults(options: Mapping[str, Any], component: Component) -> dict[str, Any]:
    """The options with the defaults of the component's schema for what was left out."""
    defaults = {
        name: described["default"]
        for name, described in component.options.get("properties", {}).items()
        if isinstance(described, Mapping) and "default" in described
    }
    return {**defaults, **options}


def build(
    path: Path,
    data: Mapping[str, Any],
    components: Components,
    schemas: Mapping[tuple[str, str], tuple[Any, Path | None, Mapping[str, Any]]],
    secrets: frozenset[str],
) -> Settings:
    """The settings of a file in which nothing is wrong.

    Args:
        path: absolute path of the file.
        data: as written, environment filled in.
        components: by kind and full name.
        schemas: by action and field, what its schema was read to.
        secrets: values that must not be shown.
    """
    shape = file_schema()["properties"]
    server = section(data.get("server", {}), shape["server"])
    if (tls := server.pop("tls", None)) is not None:
        server["tls"] = TlsSettings(cert=path.parent / tls["cert"], key=path.parent / tls["key"])
    backends = data.get("backends", {})
    return Settings(
        path=path,
        service=ServiceSettings(**section(data.get("service", {}), shape["service"])),
        server=ServerSettings(**server),
        backends=BackendSettings(
            store=component_use(backends.get("store", "sqlite"), Kind.STORE, components),
            connections=component_use(backends.get("connections", "local"), Kind.CONNECTIONS, components),
        ),
        worker=WorkerSettings(**section(data.get("worker", {}), shape["worker"])),
        plugins=plugin_settings(data),
        logs=LogSettings(**section(data.get("logs", {}), shape["logs"])),
        auth=component_use(data.get("auth", "none"), Kind.AUTH, components),
        middleware=tuple(component_use(use, Kind.MIDDLEWARE, components) for use in data.get("middleware", ())),
        actions={
            name: _action(name, action, components, schemas, shape["actions"]["additionalProperties"])
            for name, action in data.get("actions", {}).items()
        },
        secrets=secrets,
    )


def _action(
    name: str,
    data: Mapping[str, Any],
    components: Components,
    schemas: Mapping[tuple[str, str], tuple[Any, Path | None, Mapping[str, Any]]],
    shape: Mapping[str, Any],
) -> ActionSettings:
    component = components[Kind.HANDLER, data["handler"]]
    values = section(data, shape)
    for field in ("with", "retry", "schema", "result_schema"):
        values.pop(field, None)
    if "estimated_duration" not in values and component.estimated_duration is not None:
        values["estimated_duration"] = parse_duration(component.estimated_duration)
    values.setdefault("description", component.description or component.summary)
    schema, schema_path, schema_resources = schemas.get((name, "schema"), (None, None, {}))
    result_schema, result_path, result_resources = schemas.get((name, "result_schema"), (None, None, {}))
    return ActionSettings(
        name=name,
        options=with_defaults(data.get("with", {}), component),
        retry=RetrySettings(**section(data.get("retry", {}), shape["properties"]["retry"])),
        schema=schema,
        schema_path=schema_path,
        schema_resources=schema_resources,
        result_schema=result_schema,
        result_schema_path=result_path,
        result_schema_resources=result_resources,
        **values,
    )
