"""Compiles settings and built components to routes. Pure: it opens nothing and starts nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from streamer.config.settings import ActionSettings, ServiceSettings
from streamer.contracts.components import Component
from streamer.contracts.handlers import Handler
from streamer.core.errors import StartError
from streamer.engine.pipeline import AnyMiddleware, compose, is_immediate
from streamer.engine.routes import Mode, RetryPolicy, Route
from streamer.engine.validation import SchemaError, Validator


def compile_route(
    action: ActionSettings,
    service: ServiceSettings,
    component: Component,
    handler: Handler,
    middlewares: Sequence[AnyMiddleware],
) -> Route:
    """One compiled action.

    Raises:
        StartError: a schema does not compile.
    """
    result_validator = _validator(
        action.name, "result_schema", action.result_schema, action.result_schema_resources, action.result_schema_path
    )
    pipeline = compose(handler, middlewares, result_validator)
    estimate = action.estimated_duration
    return Route(
        name=action.name,
        handler=handler,
        pipeline=pipeline,
        validator=_validator(action.name, "schema", action.schema, action.schema_resources, action.schema_path),
        immediate=is_immediate(component.immediate, middlewares),
        mode=Mode(action.mode),
        estimate=float(pipeline.estimate()) if estimate is None else estimate,
        threshold=service.async_threshold,
        max_wait=action.max_wait,
        timeout=action.timeout,
        retry=RetryPolicy(**asdict(action.retry)),
        concurrency=action.concurrency,
        priority=action.priority,
        permissions=frozenset(action.permissions),
        expires_after=action.expires_after,
        cancel_after=action.cancel_after,
        description=action.description,
        schema=action.schema,
    )


def _validator(action: str, field: str, schema: Any, resources: Mapping[str, Any], path: Any) -> Validator | None:
    if schema is None or schema is True:
        return None
    try:
        base_uri = None if path is None else path.as_uri()
        return Validator(schema, resources, base_uri, bounded=field == "schema")
    except SchemaError as problem:
        first_line = str(problem).partition("\n")[0]
        raise StartError(f"actions.{action}.{field} does not compile: {first_line}") from None
