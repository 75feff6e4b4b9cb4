"""Collects what `streamer explain` prints about an action, from the settings and the components. Nothing is started."""

from __future__ import annotations

import os
from typing import Any

import click

from streamer.config.redaction import hide_options
from streamer.config.settings import ActionSettings, ComponentUse, Settings
from streamer.contracts.components import BuildContext, Component, Kind, is_context_manager
from streamer.core.units import format_duration
from streamer.engine.routes import Mode, is_queued, reason
from streamer.handlers.functions import estimate_of
from streamer.plugins.registry import Registry


def explain(settings: Settings, registry: Registry, action: ActionSettings, wait: float | None) -> dict[str, Any]:
    """How the action's requests are processed, as JSON values; durations have units."""
    component = registry.components[Kind.HANDLER, action.handler]
    estimate, estimate_source = _estimate(settings, action, component)
    threshold = settings.service.async_threshold
    decided = (Mode(action.mode), estimate, threshold, wait, action.max_wait)
    return {
        "action": action.name,
        "description": action.description,
        "handler": {
            "name": action.handler,
            "origin": _origin(component),
            "stability": component.stability.value,
            "summary": component.summary,
        },
        "permissions": list(action.permissions),
        "validator": _validator(action, component),
        "pipeline": _pipeline(settings, registry, action, component),
        "decision": {
            "queued": is_queued(*decided),
            "why": reason(*decided),
            "mode": action.mode,
            "estimate": format_duration(estimate),
            "estimate_source": estimate_source,
            "threshold": format_duration(threshold),
            "wait": None if wait is None else format_duration(wait),
        },
        "timeout": None if action.timeout is None else format_duration(action.timeout),
        "retry": {
            "max_attempts": action.retry.max_attempts,
            "initial": format_duration(action.retry.initial),
            "factor": action.retry.factor,
            "max": format_duration(action.retry.max),
            "jitter": action.retry.jitter,
        },
        "concurrency": action.concurrency,
        "pools": {
            kind: {
                "threads": getattr(settings.worker, f"{prefix}threads"),
                "processes": getattr(settings.worker, f"{prefix}processes") or len(os.sched_getaffinity(0)),
            }
            for kind, prefix in (("queued", ""), ("direct", "direct_"))
        },
        "priority": action.priority,
    }


def _estimate(settings: Settings, action: ActionSettings, component: Component) -> tuple[float, str]:
    """The estimated seconds, and where they come from. A handler that has only an `estimated_duration()` method must be
    started to be asked.
    """
    if action.estimated_duration is not None:
        return action.estimated_duration, "the configuration"
    context = BuildContext(base_dir=settings.base_dir, service=settings.service.name, settings=settings)
    made = component.factory(action.options, context)
    say = estimate_of(made)
    if say is None and is_context_manager(made):
        raise click.ClickException(
            f"the handler {action.handler!r} has an estimate only after it is started; "
            f"set actions.{action.name}.estimated_duration in the file"
        )
    return (0.0, "no estimate: counts as 0") if say is None else (float(say()), "the handler")


def _validator(action: ActionSettings, component: Component) -> dict[str, Any] | None:
    if action.schema is None:
        return None
    if action.schema_path is not None:
        source = str(action.schema_path)
    elif action.schema == component.schema:
        source = f"JSON Schema of the handler {action.handler!r}"
    else:
        source = "JSON Schema in the configuration"
    return {"source": source, "schema": action.schema}


def _pipeline(
    settings: Settings, registry: Registry, action: ActionSettings, component: Component
) -> list[dict[str, Any]]:
    uses = [(use, registry.components[Kind.MIDDLEWARE, use.name]) for use in settings.middleware]
    uses.append((ComponentUse(name=action.handler, options=action.options), component))
    return [
        {
            "position": position,
            "kind": found.kind.value,
            "name": use.name,
            "origin": _origin(found),
            "options": hide_options(use.options, found.options, settings.secrets),
        }
        for position, (use, found) in enumerate(uses, 1)
    ]


def _origin(component: Component) -> str:
    return f"{component.distribution} {component.version}".strip()
