from __future__ import annotations

from typing import Any

import pytest

from streamer.config.settings import ActionSettings, RetrySettings, ServiceSettings
from streamer.contracts.components import Component, Kind
from streamer.contracts.handlers import HandlerFunc
from streamer.contracts.middleware import Middleware
from streamer.core.errors import StartError
from streamer.core.messages import Request
from streamer.engine.routes import Mode
from streamer.runtime.compiler import compile_route


async def ten(_request: Request) -> Any:
    return 10


HANDLER = HandlerFunc(ten, 7.0)


class Quick(Middleware):
    immediate = True

    async def process(self, request: Request, next: Any, /) -> Any:
        return await next(request)


def compiled(component: Component | None = None, middlewares: Any = (), **action: Any) -> Any:
    component = component or Component(kind=Kind.HANDLER, name="ten", factory=lambda _o, _c: HANDLER)
    settings = ActionSettings(name="a", handler="ten", **action)
    return compile_route(settings, ServiceSettings(async_threshold=5.0), component, HANDLER, middlewares)


def test_the_handlers_estimate_counts_where_the_file_says_nothing():
    route = compiled()
    assert (route.estimate, route.threshold, route.queued) == (7.0, 5.0, True)
    assert compiled(estimated_duration=1.0).queued is False


def test_what_the_file_says_of_an_action_is_bound_to_it():
    route = compiled(
        mode="sync",
        timeout=3.0,
        max_wait=9.0,
        concurrency=2,
        priority=5,
        description="ten of them",
        schema={"type": "integer"},
        retry=RetrySettings(max_attempts=5, initial=2.0, factor=3.0, max=60.0, jitter=0.1),
    )
    assert (route.mode, route.timeout, route.max_wait, route.concurrency, route.priority) == (Mode.SYNC, 3.0, 9.0, 2, 5)
    assert (route.description, route.schema) == ("ten of them", {"type": "integer"})
    retry = route.retry
    assert (retry.max_attempts, retry.initial, retry.factor, retry.max, retry.jitter) == (5, 2.0, 3.0, 60.0, 0.1)
    assert route.validator.is_valid(1)
    assert not route.validator.is_valid("1")


@pytest.mark.parametrize("schema", [None, True])
def test_a_schema_that_allows_everything_costs_nothing(schema):
    assert compiled(schema=schema).validator is None


def test_a_schema_that_allows_nothing_is_kept():
    assert not compiled(schema=False).validator.is_valid(None)


def test_references_are_relative_to_the_schemas_own_file(tmp_path):
    path = tmp_path / "schemas" / "a.json"
    route = compiled(
        schema={"$ref": "parts.json"},
        schema_path=path,
        schema_resources={(tmp_path / "schemas" / "parts.json").as_uri(): {"type": "integer"}},
    )
    assert route.validator.is_valid(1)
    assert not route.validator.is_valid("1")


@pytest.mark.parametrize("field", ["schema", "result_schema"])
def test_a_schema_that_does_not_compile_is_named(field):
    with pytest.raises(StartError, match=rf"^actions\.a\.{field} does not compile: [^\n]+$"):
        compiled(**{field: {"type": "nonsense"}})


async def test_a_result_is_checked_where_the_file_says_how():
    request = Request(id="r", action="a")
    assert (await compiled(result_schema={"type": "integer"}).pipeline.direct(request)).data == 10
    with pytest.raises(Exception, match="could not be completed"):
        await compiled(result_schema={"type": "string"}).pipeline.direct(request)


def test_a_route_is_immediate_when_the_component_and_all_middlewares_are():
    immediate = Component(kind=Kind.HANDLER, name="ten", factory=lambda _o, _c: HANDLER, immediate=True)
    assert compiled(immediate).immediate
    assert compiled(immediate, [Quick()]).immediate
    assert not compiled(immediate, [Quick(), Middleware()]).immediate
    assert not compiled(immediate, [lambda handler: handler]).immediate
    assert not compiled(middlewares=[Quick()]).immediate
