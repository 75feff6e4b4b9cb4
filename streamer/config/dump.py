"""Writes the effective settings as YAML, with secrets hidden."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

import yaml

from streamer.config.redaction import hide
from streamer.config.scalars import resolve
from streamer.config.settings import ActionSettings, ComponentUse, Settings
from streamer.config.shape import file_schema
from streamer.core.units import format_duration, format_rate, format_size

_FORMATS: Final[Mapping[str, Callable[[Any], str]]] = {
    "#/$defs/duration": format_duration,
    "#/$defs/size": format_size,
    "#/$defs/rate": format_rate,
}


class _Dumper(yaml.SafeDumper):
    """Writes YAML that this package reads back as the same data."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base class's shape
        """Every value is written out instead of using aliases, for readability."""
        return True


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None if isinstance(resolve(text), str) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def dump(settings: Settings) -> str:
    """The effective settings as YAML: `effective`, written so that it reads back as the same."""
    values = _escaped(effective(settings))
    text: str = yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    if all(map(str.isprintable, text.split("\n"))):
        return text
    # Control characters, such as those that reverse the text after them, are escaped.
    return str(yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=False, width=120))


def effective(settings: Settings) -> dict[str, Any]:
    """The effective settings, including every default, in the structure of the file, as plain data.

    `***` replaces the values that a component marks as secret, wherever the environment filled them in. JSON Schemas
    from files are shown as the file's name. Settings without a value, such as an unset timeout, are left out.
    """
    shape = file_schema()["properties"]
    shown: dict[str, Any] = {
        "version": 1,
        "service": _section(settings.service, shape["service"]),
        "server": _section(settings.server, shape["server"]),
        "backends": {"store": _use(settings.backends.store), "connections": _use(settings.backends.connections)},
        "worker": _section(settings.worker, shape["worker"]),
        "admin": _section(settings.admin, shape["admin"]),
        "auth": _use(settings.auth),
        "plugins": _section(settings.plugins, shape["plugins"]),
        "logs": _section(settings.logs, shape["logs"]),
        "middleware": [_use(use) for use in settings.middleware],
        "actions": {name: _action(action, settings) for name, action in settings.actions.items()},
    }
    if settings.server.tls is not None:
        tls = settings.server.tls
        shown["server"]["tls"] = {"cert": str(tls.cert), "key": str(tls.key)}
    if settings.admin.token_file is not None:
        shown["admin"]["token_file"] = str(settings.admin.token_file)
    hidden: dict[str, Any] = hide(shown, settings.secrets, settings.secret_places)
    return hidden


def _escaped(value: Any) -> Any:
    """Writes `$${` for `${`, so that reading it again fills in nothing."""
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value


def _section(section: Any, shape: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for field in fields(section):
        value, described = getattr(section, field.name), shape["properties"].get(field.name, {})
        if value is None or not isinstance(value, str | int | float | tuple):
            continue
        convert = _FORMATS.get(described.get("$ref", ""))
        made[field.name] = value if convert is None else convert(value)
    return made


def _use(use: ComponentUse) -> dict[str, Any]:
    return {"use": use.name, **use.options}


def _action(action: ActionSettings, settings: Settings) -> dict[str, Any]:
    shape = file_schema()["properties"]["actions"]["additionalProperties"]
    plain = _section(action, shape)
    made: dict[str, Any] = {key: plain[key] for key in ("description", "handler")}
    if action.options:
        made["with"] = dict(action.options)
    made |= {key: value for key, value in plain.items() if key in shape["properties"] and key not in _SCHEMAS}
    for name in _SCHEMAS:
        schema = getattr(action, name)
        if schema is not None:
            made[name] = _schema(schema, getattr(action, f"{name}_path"), settings)
    if action.rate_limit is not None:
        made["rate_limit"] = _section(action.rate_limit, shape["properties"]["rate_limit"])
    made["retry"] = _section(action.retry, shape["properties"]["retry"])
    return made


_SCHEMAS: Final = ("schema", "result_schema")


def _schema(schema: Any, path: Path | None, settings: Settings) -> Any:
    if path is None or path == settings.path:
        return schema
    return path.name if path.parent == settings.base_dir else os.path.relpath(path, settings.base_dir)
