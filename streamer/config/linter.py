"""Checks the whole document against the file's schema, the installed components and itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from streamer.config.access import check_access, check_admin
from streamer.config.addresses import check_addresses
from streamer.config.build import with_defaults
from streamer.config.document import Document, Place
from streamer.config.environment import convert
from streamer.config.keywords import unit_problem
from streamer.config.lint import check
from streamer.config.redaction import secret_places
from streamer.config.schemas import LoadedSchema, SchemaReader
from streamer.config.sentences import shown, suggest
from streamer.config.shape import file_schema, with_units
from streamer.contracts.components import BuildContext, Component, Kind
from streamer.contracts.extras import how_to_install
from streamer.core.foreign_code import one_line
from streamer.core.units import parse_duration

Components = Mapping[tuple[Kind, str], Component]

_ACTION_NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,128}", re.ASCII)
_UNKNOWN: Final = {
    Kind.HANDLER: "unknown-handler",
    Kind.MIDDLEWARE: "unknown-middleware",
    Kind.STORE: "unknown-backend",
    Kind.CONNECTIONS: "unknown-backend",
    Kind.AUTH: "unknown-auth",
}


class Linter:
    """One check of one document, which gets the problems.

    Args:
        document: with the environment filled in.
        components: the installed components; None when they are unknown, and then they are not checked.
        reader: of the actions' JSON Schemas.
        base_dir: the folder that relative paths start from.

    Attributes:
        schemas: the JSON Schemas that were read, by action and field (`schema`, `result_schema`).
        secrets: places that a component marks as secret.
    """

    def __init__(self, document: Document, components: Components | None, reader: SchemaReader, base_dir: Path) -> None:
        self._document = document
        self._components = components
        self._reader = reader
        self._context = BuildContext(base_dir=base_dir)
        self.schemas: dict[tuple[str, str], LoadedSchema] = {}
        self.secrets: set[Place] = set()

    def run(self) -> None:
        """Adds every problem."""
        data = self._document.data
        check(self._document, data, file_schema(), ())
        if not isinstance(data, Mapping):
            return
        self.secrets.update(secret_places(data.get("admin"), file_schema()["properties"]["admin"], ("admin",)))
        backends = data.get("backends", {})
        if isinstance(backends, Mapping):
            self._use(backends.get("store", "sqlite"), Kind.STORE, ("backends", "store"))
            self._use(backends.get("connections", "local"), Kind.CONNECTIONS, ("backends", "connections"))
        self._use(data.get("auth", "none"), Kind.AUTH, ("auth",))
        middleware = data.get("middleware")
        if isinstance(middleware, list):
            for index, use in enumerate(middleware):
                self._use(use, Kind.MIDDLEWARE, ("middleware", index))
        check_access(self._document, self._served)
        check_admin(self._document)
        check_addresses(self._document)
        actions = data.get("actions")
        if isinstance(actions, Mapping):
            for name, action in actions.items():
                self._action(name, action)

    def _served(self, connections: str) -> bool:
        """Whether the service's own server holds these connections. True for an unknown name, since that is the less
        safe case.
        """
        if self._components is None:
            return True
        component = self._components.get((Kind.CONNECTIONS, connections))
        return component is not None and component.holds_sockets

    def _use(self, value: Any, kind: Kind, place: Place) -> None:
        if isinstance(value, str):
            self._component(kind, value, place)
            self._options(kind, value, {}, place)
        elif isinstance(value, Mapping) and isinstance(value.get("use"), str):
            self._component(kind, value["use"], (*place, "use"))
            self._options(kind, value["use"], {key: item for key, item in value.items() if key != "use"}, place)

    def _component(self, kind: Kind, name: str, place: Place) -> None:
        if self._components is None or (kind, name) in self._components or self._document.is_broken(place):
            return
        known = [known for known_kind, known in self._components if known_kind is kind]
        plugin, dot, _ = name.partition(".")
        hint = suggest(name, known)
        if not hint and dot and not any(each.startswith(f"{plugin}.") for each in known):
            hint = f" (the plugin {plugin!r} is not installed, or not allowed)"
        how = how_to_install(kind, name)
        if how:
            hint = f"; {how}" + (", and allow it in 'plugins'" if "plugins" in self._document.data else "")
        what = {Kind.AUTH: "authentication", Kind.CONNECTIONS: "connections backend"}.get(kind, kind.value)
        hint = hint or suggest(name, known, otherwise=True)
        source = self._document.source(place)
        message = f"unknown {what} {shown(name, hidden=bool(source))}{source}{hint}"
        self._document.problem(_UNKNOWN[kind], place, message)

    def _options(self, kind: Kind, name: str, options: Any, place: Place) -> None:
        component = (self._components or {}).get((kind, name))
        if component is None or not isinstance(options, Mapping):
            return
        schema = with_units(component.options)
        convert(self._document, schema, place)
        # Read again: a filled value may be a number now.
        current = {key: self._document.at((*place, key)) for key in options}
        self.secrets.update(secret_places(current, schema, place))
        before = len(self._document.problems)
        check(self._document, current, schema, place)
        if len(self._document.problems) == before and not self._document.holds_broken(place):
            self._own_check(component, current, place)

    def _own_check(self, component: Component, options: Mapping[str, Any], place: Place) -> None:
        if component.check is None:
            return
        try:
            found = list(component.check(with_defaults(options, component.options), self._context))
        except KeyboardInterrupt:
            raise
        except BaseException as fault:  # noqa: BLE001 - a plugin's bug is reported at the line that names it
            what = f"the check of {component.full_name!r} failed: {one_line(fault)}"
            self._document.problem("plugin-error", place, f"{what}; this is a bug in the plugin")
            return
        for problem in found:
            where = (*place, *problem.place)
            self._document.problem("bad-option", where, problem.message + self._document.source(where))

    def _action(self, name: str, action: Any) -> None:
        place: Place = ("actions", name)
        if not _ACTION_NAME.fullmatch(name):
            message = f"{name[:140]!r} is not a valid action name; use 1 to 128 of A-Z a-z 0-9 . _ -"
            self._document.problem("bad-action-name", place, message, key=True, within=("actions",))
        elif name.startswith("streamer."):
            message = f"{name!r}: the prefix 'streamer.' is reserved; choose another name"
            self._document.problem("bad-action-name", place, message, key=True, within=("actions",))
        if not isinstance(action, Mapping):
            return
        handler = action.get("handler")
        component = None
        if isinstance(handler, str):
            component = (self._components or {}).get((Kind.HANDLER, handler))
            self._component(Kind.HANDLER, handler, (*place, "handler"))
            # An action without `with` lacks the required options, which is reported at the action.
            self._options(Kind.HANDLER, handler, action.get("with", {}), (*place, "with"))
        for field in ("schema", "result_schema"):
            self._schema(name, field, action.get(field), component)
        self._estimate(action, component, place)

    def _schema(self, name: str, field: str, written: Any, component: Component | None) -> None:
        place: Place = ("actions", name, field)
        if isinstance(written, str | Mapping | bool):
            if not self._document.is_broken(place):
                self.schemas[name, field] = self._reader.read(written, place)
        elif written is None and component is not None and getattr(component, field) is not None:
            brought = getattr(component, field)
            self.schemas[name, field] = self._reader.brought(brought, field, ("actions", name, "handler"))

    def _estimate(self, action: Mapping[str, Any], component: Component | None, place: Place) -> None:
        written = action.get("estimated_duration")
        estimate = component.estimated_duration if written is None and component is not None else written
        timeout = action.get("timeout")
        if not (isinstance(timeout, str) and isinstance(estimate, str)):
            return
        if unit_problem("duration", timeout) or unit_problem("duration", estimate):
            return
        if parse_duration(estimate) >= parse_duration(timeout):
            whose = "" if written is not None else " of the handler"
            at = (*place, "timeout" if written is None else "estimated_duration")
            message = f"the estimate{whose} is {estimate}, but the timeout is only {timeout}; raise the timeout"
            self._document.problem("estimate-over-timeout", at, message)
