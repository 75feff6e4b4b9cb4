"""The whole way from a file to settings, with every problem on it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from streamer.config.build import build, plugin_settings
from streamer.config.document import Document, Path_, read_document
from streamer.config.environment import fill
from streamer.config.lint import check, suggest
from streamer.config.problems import Problem
from streamer.config.references import Compile, SchemaReader
from streamer.config.settings import PluginSettings, Settings
from streamer.config.shape import file_schema, with_units
from streamer.contracts.components import Component, Kind
from streamer.core.errors import ConfigError, PluginError
from streamer.core.units import parse_duration

_ACTION_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_UNKNOWN: Final = {
    Kind.HANDLER: "unknown-handler",
    Kind.MIDDLEWARE: "unknown-middleware",
    Kind.STORE: "unknown-backend",
    Kind.CONNECTIONS: "unknown-backend",
    Kind.AUTH: "unknown-auth",
}


class Found(Protocol):
    """What discovery finds."""

    @property
    def components(self) -> Mapping[tuple[Kind, str], Component]:
        """By kind and full name."""
        ...


Discover = Callable[[PluginSettings], Found]


def load(
    path: Path,
    *,
    discover: Discover,
    environ: Mapping[str, str] | None = None,
    compile_schema: Compile | None = None,
) -> Settings:
    """The settings of a file. It starts nothing and needs no network.

    Args:
        path: the file.
        discover: loads the plugins that the file's `plugins` section lets load, and returns their components.
        environ: where `${…}` comes from; the process's environment when left out.
        compile_schema: tries whether a JSON Schema compiles for the validator that will be used.

    Raises:
        ConfigError: with every problem that the file has, in the order of its lines.
    """
    document = read_document(path)
    if document.problems or document.data is None:
        raise _error(document)
    filled = fill(document, os.environ if environ is None else environ)
    data = document.data
    try:
        found = discover(plugin_settings(data))
    except PluginError as problem:
        for line in str(problem).splitlines():
            document.problem("plugin-error", ("plugins",), line)
        check(document, data, file_schema(), (), file_schema())
        raise _error(document) from None
    components = found.components
    linter = _Linter(document, components, filled, SchemaReader(document, path.absolute().parent, compile_schema))
    linter.run(found)
    if document.problems:
        raise _error(document)
    return build(path.absolute(), data, components, linter.schemas, frozenset(linter.secrets))


def _error(document: Document) -> ConfigError:
    seen: dict[Problem, None] = dict.fromkeys(
        sorted(document.problems, key=lambda problem: (problem.file != document.file, problem))
    )
    return ConfigError(list(seen))


class _Linter:
    def __init__(
        self,
        document: Document,
        components: Mapping[tuple[Kind, str], Component],
        filled: set[Path_],
        schema_reader: SchemaReader,
    ) -> None:
        self._document = document
        self._components = components
        self._filled = filled
        self._schema_reader = schema_reader
        self.schemas: dict[tuple[str, str], tuple[Any, Path | None, Mapping[str, Any]]] = {}
        self.secrets: set[str] = set()

    def run(self, found: Found) -> None:
        data = self._document.data
        check(self._document, data, file_schema(), (), file_schema())
        if not isinstance(data, Mapping):
            return
        backends = data.get("backends")
        if isinstance(backends, Mapping):
            self._use(backends.get("store"), Kind.STORE, ("backends", "store"))
            self._use(backends.get("connections"), Kind.CONNECTIONS, ("backends", "connections"))
        self._use(data.get("auth"), Kind.AUTH, ("auth",))
        middleware = data.get("middleware")
        if isinstance(middleware, list):
            for index, use in enumerate(middleware):
                self._use(use, Kind.MIDDLEWARE, ("middleware", index))
        actions = data.get("actions")
        if isinstance(actions, Mapping):
            for name, action in actions.items():
                self._action(name, action)
        self._allowed(data, found)

    def _use(self, value: Any, kind: Kind, path: Path_) -> None:
        if isinstance(value, str):
            self._component(value, {}, kind, path, path)
        elif isinstance(value, Mapping) and isinstance(value.get("use"), str):
            options = {key: item for key, item in value.items() if key != "use"}
            self._component(value["use"], options, kind, (*path, "use"), path)

    def _component(
        self, name: str, options: Any, kind: Kind, name_path: Path_, options_path: Path_
    ) -> Component | None:
        component = self._components.get((kind, name))
        if component is None:
            known = [known_name for known_kind, known_name in self._components if known_kind is kind]
            hint = suggest(name, known) or f"; there are: {', '.join(known)}"
            self._document.problem(_UNKNOWN[kind], name_path, f"{name!r} is not a known {kind}{hint}")
            return None
        schema = with_units(component.options)
        if isinstance(options, Mapping):
            check(self._document, options, {"type": "object", **schema}, options_path, file_schema())
            self._find_secrets(options, component.options)
        return component

    def _find_secrets(self, value: Any, schema: Any) -> None:
        if not isinstance(schema, Mapping):
            return
        if schema.get("writeOnly") is True:
            self.secrets.update(_texts(value))
        elif isinstance(value, Mapping):
            for key, item in value.items():
                described = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
                self._find_secrets(item, described)
        elif isinstance(value, list):
            for item in value:
                self._find_secrets(item, schema.get("items"))

    def _action(self, name: str, action: Any) -> None:
        path: Path_ = ("actions", name)
        problem = self._document.problem
        if not _ACTION_NAME.fullmatch(name):
            problem("bad-action-name", path, "an action's name is 1 to 128 of A-Z a-z 0-9 . _ -", key=True)
        elif name.startswith("streamer."):
            problem(
                "bad-action-name", path, "the prefix 'streamer.' is the service's own; choose another name", key=True
            )
        if not isinstance(action, Mapping):
            return
        component: Component | None = None
        if isinstance(action.get("handler"), str):
            component = self._component(
                action["handler"], action.get("with", {}), Kind.HANDLER, (*path, "handler"), (*path, "with")
            )
        for field in ("schema", "result_schema"):
            given = action.get(field)
            if isinstance(given, str | Mapping | bool):
                self.schemas[name, field] = self._schema_reader.read(given, (*path, field))
            elif component is not None and getattr(component, field) is not None:
                brought = self._schema_reader.brought(getattr(component, field), (*path, "handler"))
                self.schemas[name, field] = (brought, None, {})
        self._estimate(action, component, path)

    def _estimate(self, action: Mapping[str, Any], component: Component | None, path: Path_) -> None:
        timeout = action.get("timeout")
        estimate = action.get("estimated_duration")
        at: Path_ = (*path, "estimated_duration")
        if estimate is None and component is not None:
            estimate, at = component.estimated_duration, (*path, "timeout")
        if not isinstance(timeout, str) or not isinstance(estimate, str):
            return
        try:
            over = parse_duration(estimate) >= parse_duration(timeout)
        except ValueError:
            return
        if over:
            self._document.problem(
                "estimate-over-timeout",
                at,
                f"it usually takes {estimate}, but may only take {timeout}; raise the timeout",
            )

    def _allowed(self, data: Mapping[str, Any], found: Found) -> None:
        plugins = data.get("plugins")
        allow = plugins.get("allow") if isinstance(plugins, Mapping) else None
        if not isinstance(allow, list):
            return
        known = {_normal(info.distribution) for info in getattr(found, "plugins", ())}
        known |= {_normal(component.distribution) for component in found.components.values()}
        for index, name in enumerate(allow):
            if isinstance(name, str) and _normal(name) not in known:
                hint = suggest(_normal(name), known) or "; install it, or remove it from the list"
                self._document.problem(
                    "unknown-plugin", ("plugins", "allow", index), f"no installed plugin belongs to {name!r}{hint}"
                )


def _normal(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def _texts(value: Any) -> set[str]:
    """Every text inside a secret value; short ones would hide half of every log line, and protect nothing."""
    if isinstance(value, Mapping):
        return {text for item in value.values() for text in _texts(item)}
    if isinstance(value, list):
        return {text for item in value for text in _texts(item)}
    return {value} if isinstance(value, str) and value else set()
