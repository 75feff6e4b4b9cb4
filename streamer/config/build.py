"""Builds frozen settings from checked data."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from streamer.config.document import Place
from streamer.config.paths import located
from streamer.config.redaction import secret_places
from streamer.config.schemas import LoadedSchema
from streamer.config.settings import (
    ActionSettings,
    AdminSettings,
    BackendSettings,
    ComponentUse,
    LogSettings,
    PluginSettings,
    RateLimitSettings,
    RetrySettings,
    ServerSettings,
    ServiceSettings,
    Settings,
    TlsSettings,
    WorkerSettings,
)
from streamer.config.shape import file_schema
from streamer.contracts.components import Component, Kind
from streamer.core.units import parse_duration, parse_rate, parse_size

_UNITS: Mapping[str, Callable[[str], Any]] = {
    "#/$defs/duration": parse_duration,
    "#/$defs/size": parse_size,
    "#/$defs/rate": parse_rate,
}

Components = Mapping[tuple[Kind, str], Component]
Schemas = Mapping[tuple[str, str], LoadedSchema]


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
        if described.get("type") == "integer":
            # For JSON Schema, 8080.0 is an integer.
            value = int(value)
        made[name] = tuple(value) if isinstance(value, list) else value
    return made


def plugin_settings(data: Any) -> PluginSettings:
    """The plugins section, as far as it is valid: the check of everything else needs it."""
    given = data.get("plugins") if isinstance(data, Mapping) else None
    if not isinstance(given, Mapping):
        return PluginSettings()
    allow, block = given.get("allow"), given.get("block")
    return PluginSettings(
        allow=tuple(map(str, allow)) if isinstance(allow, list) else None,
        block=tuple(map(str, block)) if isinstance(block, list) else (),
    )


def component_use(value: Any, kind: Kind, components: Components) -> ComponentUse:
    """A component's name or an object with `use`, with the component's defaults filled in."""
    written = {"use": value} if isinstance(value, str) else value
    name = written["use"]
    options = {key: item for key, item in written.items() if key != "use"}
    return ComponentUse(name=name, options=with_defaults(options, components[kind, name].options))


def with_defaults(value: Any, schema: Any) -> Any:
    """The value with missing keys filled from the defaults of its schema, also inside existing objects."""
    properties = schema.get("properties") if isinstance(schema, Mapping) else None
    if not isinstance(value, Mapping) or not isinstance(properties, Mapping):
        return value
    made = {key: with_defaults(item, properties.get(key)) for key, item in value.items()}
    for key, described in properties.items():
        if key not in made and isinstance(described, Mapping) and "default" in described:
            made[key] = copy.deepcopy(described["default"])
    return made


def build(
    path: Path, data: Mapping[str, Any], components: Components, schemas: Schemas, secrets: frozenset[str]
) -> Settings:
    """The settings of a file without problems.

    Args:
        path: absolute path of the file.
        data: as written, environment filled in.
        components: by kind and full name.
        schemas: the JSON Schemas that were read, by action and field.
        secrets: values that must not be shown.
    """
    shape = file_schema()["properties"]
    server = section(data.get("server", {}), shape["server"])
    if (tls := server.pop("tls", None)) is not None:
        server["tls"] = TlsSettings(**{name: located(path.parent, file) for name, file in tls.items()})
    admin = section(data.get("admin", {}), shape["admin"])
    if (token_file := admin.get("token_file")) is not None:
        admin["token_file"] = located(path.parent, token_file)
    backends = data.get("backends", {})
    settings = Settings(
        path=path,
        service=ServiceSettings(**section(data.get("service", {}), shape["service"])),
        server=ServerSettings(**server),
        backends=BackendSettings(
            store=component_use(backends.get("store", "sqlite"), Kind.STORE, components),
            connections=component_use(backends.get("connections", "local"), Kind.CONNECTIONS, components),
        ),
        worker=WorkerSettings(**section(data.get("worker", {}), shape["worker"])),
        admin=AdminSettings(**admin),
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
    return replace(settings, secret_places=frozenset(_secret_places(settings, components)))


def _secret_places(settings: Settings, components: Components) -> Iterator[Place]:
    uses: list[tuple[Kind, ComponentUse, Place]] = [
        (Kind.STORE, settings.backends.store, ("backends", "store")),
        (Kind.CONNECTIONS, settings.backends.connections, ("backends", "connections")),
        (Kind.AUTH, settings.auth, ("auth",)),
        *((Kind.MIDDLEWARE, use, ("middleware", index)) for index, use in enumerate(settings.middleware)),
        *(
            (Kind.HANDLER, ComponentUse(name=action.handler, options=action.options), ("actions", name, "with"))
            for name, action in settings.actions.items()
        ),
    ]
    for kind, use, place in uses:
        yield from secret_places(use.options, components[kind, use.name].options, place)
    if settings.admin.token is not None:
        yield ("admin", "token")


def _action(
    name: str, data: Mapping[str, Any], components: Components, schemas: Schemas, shape: Mapping[str, Any]
) -> ActionSettings:
    component = components[Kind.HANDLER, data["handler"]]
    values = section(data, shape)
    for field in ("with", "retry", "rate_limit", "schema", "result_schema", "on_disconnect"):
        values.pop(field, None)
    values["permissions"] = tuple(data.get("permissions", ()))
    if "estimated_duration" not in values and component.estimated_duration is not None:
        values["estimated_duration"] = parse_duration(component.estimated_duration)
    values.setdefault("description", component.description or component.summary)
    schema = schemas.get((name, "schema"), LoadedSchema())
    result_schema = schemas.get((name, "result_schema"), LoadedSchema())
    return ActionSettings(
        name=name,
        options=with_defaults(data.get("with", {}), component.options),
        retry=RetrySettings(**section(data.get("retry", {}), shape["properties"]["retry"])),
        rate_limit=_rate_limit(data.get("rate_limit"), shape["properties"]["rate_limit"]),
        schema=schema.schema,
        schema_path=schema.path,
        schema_resources=schema.resources,
        result_schema=result_schema.schema,
        result_schema_path=result_schema.path,
        result_schema_resources=result_schema.resources,
        cancel_after=_cancel_after(data.get("on_disconnect", "continue")),
        **values,
    )


def _rate_limit(data: Any, shape: Mapping[str, Any]) -> RateLimitSettings | None:
    return None if data is None else RateLimitSettings(**section(data, shape))


def _cancel_after(on_disconnect: Any) -> float | None:
    if isinstance(on_disconnect, str):
        return 0.0 if on_disconnect == "cancel" else None
    return parse_duration(on_disconnect["cancel_after"])
