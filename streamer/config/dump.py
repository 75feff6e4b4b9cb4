"""The effective settings as YAML, secrets hidden."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from streamer.config.settings import ActionSettings, ComponentUse, Settings
from streamer.config.shape import file_schema
from streamer.core.units import format_duration, format_size

HIDDEN: Final = "***"
_FORMATS: Final = {"#/$defs/duration": format_duration, "#/$defs/size": format_size}


def dump(settings: Settings) -> str:
    """The settings as they took effect, every default included, in the file's own shape.

    What stands in a place that a component marks secret, and every other occurrence of such a value, is `***`.
    """
    shape = file_schema()["properties"]
    shown: dict[str, Any] = {
        "version": 1,
        "service": _section(settings.service, shape["service"]),
        "server": _section(settings.server, shape["server"]),
        "backends": {"store": _use(settings.backends.store), "connections": _use(settings.backends.connections)},
        "worker": _section(settings.worker, shape["worker"]),
        "auth": _use(settings.auth),
        "plugins": _section(settings.plugins, shape["plugins"]),
        "logs": _section(settings.logs, shape["logs"]),
        "middleware": [_use(use) for use in settings.middleware],
        "actions": {name: _action(action) for name, action in settings.actions.items()},
    }
    return yaml.safe_dump(hide(shown, settings.secrets), sort_keys=False, allow_unicode=True, width=120)


def hide(value: Any, secrets: frozenset[str]) -> Any:
    """The value with every secret in it replaced."""
    if isinstance(value, Mapping):
        return {key: hide(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hide(item, secrets) for item in value]
    if isinstance(value, str):
        # The longest first: one secret may be part of another.
        for secret in sorted(secrets, key=len, reverse=True):
            value = value.replace(secret, HIDDEN)
    return value


def _section(section: Any, shape: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for field in fields(section):
        value = getattr(section, field.name)
        described = shape["properties"].get(field.name)
        if described is None or value is None:
            continue
        if is_dataclass(value):
            made[field.name] = _section(value, described)
            continue
        convert = _FORMATS.get(described.get("$ref", ""))
        if convert is not None:
            value = convert(value)
        made[field.name] = str(value) if isinstance(value, Path) else value
    return made


def _use(use: ComponentUse) -> dict[str, Any]:
    return {"use": use.name, **use.options}


def _action(action: ActionSettings) -> dict[str, Any]:
    shape = file_schema()["properties"]["actions"]["additionalProperties"]
    made = _section(action, shape)
    made.pop("schema", None)
    made.pop("result_schema", None)
    if action.options:
        made["with"] = dict(action.options)
    if action.schema is not None:
        made["schema"] = action.schema
    if action.result_schema is not None:
        made["result_schema"] = action.result_schema
    return made
