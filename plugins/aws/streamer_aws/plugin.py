"""The plugin's components. The file uses their names without a prefix, since these are older than the plugin."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from streamer.contracts.components import BuildContext, Component, Kind
from streamer.plugins.hookspecs import hookimpl
from streamer_aws.connections.component import component as connections
from streamer_aws.store.component import component as store


@hookimpl
def streamer_backends() -> list[Component]:
    """A store on DynamoDB, and connections that API Gateway holds."""
    return [store(), connections()]


@hookimpl
def streamer_commands() -> list[Component]:
    """An AWS SAM template of a service, and AWS on this machine."""
    return [
        Component(
            kind=Kind.EXPORT,
            name="sam",
            prefixed=False,
            factory=_command("sam"),
            summary="An AWS SAM template and its deployment package",
        ),
        Component(
            kind=Kind.EMULATOR,
            name="aws",
            prefixed=False,
            factory=_command("emulate"),
            summary="API Gateway, Lambda, SQS and DynamoDB, on loopback",
        ),
    ]


def _command(module: str) -> Callable[[Mapping[str, Any], BuildContext], Any]:
    return lambda _options, _context: import_module(f"streamer_aws.commands.{module}").command
