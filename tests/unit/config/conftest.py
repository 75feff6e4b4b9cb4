"""Components that do nothing, and a way to load a text with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from streamer.config import load
from streamer.config.settings import Settings
from streamer.contracts.components import BuildContext, Component, Kind, OptionProblem, handler
from streamer.core.errors import ConfigError
from streamer.engine.validation import Validator


def _unused(*_: Any) -> None:
    raise AssertionError("checking a file builds nothing")


def _check(options: Mapping[str, Any], context: BuildContext) -> Iterator[OptionProblem]:
    if options.get("secret") == "guess me":
        yield OptionProblem(("secret",), "it is known to everybody")
    if options.get("secret") == "break it":
        raise LookupError("a mistake in the plugin")
    for index, name in enumerate(options.get("keys", ())):
        if not (context.base_dir / name).exists():
            yield OptionProblem(("keys", index), "there is no such file")


OPEN = {"type": "object"}

# Doubles: they have options, defaults and secrets as real components do, and can never be built.
DOUBLES = [
    handler("echo", _unused, estimated_duration="10ms", description="Send it back"),
    handler(
        "report",
        _unused,
        schema={"type": "object", "required": ["year"]},
        result_schema={"type": "object"},
        estimated_duration="2m",
        options={
            "type": "object",
            "required": ["data"],
            "additionalProperties": False,
            "properties": {
                "data": {"type": "string", "format": "path", "description": "Where the data are"},
                "rows": {"type": "integer", "minimum": 1, "default": 100},
                "share": {"type": "number"},
                "fast": {"type": "boolean", "default": False},
                "every": {"type": "string", "format": "duration", "default": "5s"},
                "limit": {"type": "string", "format": "size"},
                "rate": {"type": "string", "format": "rate"},
                "token": {"type": "string", "writeOnly": True, "pattern": "^t-"},
                "pin": {"type": "integer", "writeOnly": True},
                "headers": {"type": "object", "additionalProperties": {"type": "string", "writeOnly": True}},
                "page": {
                    "type": "object",
                    "properties": {
                        "size": {"enum": ["a4", "letter"], "default": "a4"},
                        "margin": {"$ref": "#/$defs/cm"},
                    },
                },
                "either": {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}}]},
            },
            "$defs": {"cm": {"type": "number", "minimum": 0, "default": 2}},
        },
    ),
    handler("broken_schema", _unused, schema={"type": "object", "properties": {"a": {"$ref": "other.json"}}}),
    Component(kind=Kind.MIDDLEWARE, name="access_log", factory=_unused),
    Component(
        kind=Kind.MIDDLEWARE,
        name="limit",
        factory=_unused,
        options={
            "type": "object",
            "additionalProperties": False,
            "properties": {"rate": {"type": "string", "format": "rate", "default": "100/1m"}},
        },
    ),
    Component(
        kind=Kind.STORE,
        name="sqlite",
        factory=_unused,
        options={
            "type": "object",
            "additionalProperties": False,
            "properties": {"path": {"type": "string", "default": "./streamer.db"}},
        },
    ),
    Component(kind=Kind.CONNECTIONS, name="local", factory=_unused, holds_sockets=True),
    Component(
        kind=Kind.AUTH,
        name="none",
        factory=_unused,
        options={"type": "object", "additionalProperties": False, "properties": {"allow_anyone": {"type": "boolean"}}},
    ),
    Component(
        kind=Kind.AUTH,
        name="jwt",
        factory=_unused,
        options={
            "type": "object",
            "properties": {
                "secret": {"type": "string", "writeOnly": True},
                "keys": {"type": "array", "items": {"type": "string"}},
            },
        },
        check=_check,
        namespace="acme",
        distribution="acme-auth",
    ),
]


@dataclass
class Found:
    """What discovery would have found."""

    components: Mapping[tuple[Kind, str], Component]
    plugins: tuple[Component, ...] = ()


COMPONENTS = {(component.kind, component.full_name): component for component in DOUBLES}


@pytest.fixture
def components() -> dict[tuple[Kind, str], Component]:
    return dict(COMPONENTS)


@pytest.fixture
def discover() -> Callable[..., Found]:
    return lambda _plugins: Found(COMPONENTS, tuple(DOUBLES))


@pytest.fixture
def settings_of(tmp_path: Path, discover: Any) -> Callable[..., Settings]:
    """Loads a text as `streamer.yaml` of an empty folder; `files` lie beside it."""

    def load_text(text: str, files: Mapping[str, str] | None = None, **environ: str) -> Settings:
        path = tmp_path / "streamer.yaml"
        path.write_text(text)
        for name, content in (files or {}).items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(content)
        return load(path, discover=discover, environ=environ, compile_schema=Validator)

    return load_text


@pytest.fixture
def problems_of(tmp_path: Path, settings_of: Any) -> Callable[..., list[str]]:
    """The problems of a text, as lines without the folder's name."""

    def problems(text: str, files: Mapping[str, str] | None = None, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            settings_of(text, files, **environ)
        return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return problems
