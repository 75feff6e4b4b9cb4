"""The rate limit as a middleware."""

from __future__ import annotations

import pytest

from streamer.contracts.components import BuildContext
from streamer.core.errors import Error
from streamer.core.messages import Request
from streamer.core.principal import Principal
from streamer.core.units import parse_rate
from streamer.middlewares.components import components
from streamer.middlewares.rate_limit import RateLimit
from streamer.testing import ManualClock


def asked(connection="c1", user="u1", tenant="", action="a"):
    principal = Principal(user_id=user, tenant_id=tenant)
    return Request(id="r", action=action, connection_id=connection, owner=principal.owner, principal=principal)


async def passes(limiter, request):
    reached = []

    async def next_one(request):
        reached.append(request)

    try:
        await limiter.admit(request, next_one)
    except Error as error:
        assert not reached
        return error
    assert reached == [request]
    return None


@pytest.mark.parametrize(
    ("per", "same", "other"),
    [
        ("connection", asked(user="u2", action="b"), asked(connection="c2")),
        ("principal", asked(connection="c2", action="b"), asked(user="u2")),
        ("principal", asked(connection="c2"), Request(id="r", action="a", owner="client:u1")),
        ("tenant", asked(tenant="t1", user="u2", connection="c2"), asked(tenant="t2")),
        ("tenant", asked(tenant="t1", user="u2"), Request(id="r", action="a", owner="client:t1")),
        ("action", asked(connection="c2", user="u2"), asked(action="b")),
    ],
)
async def test_each_has_a_limit_of_its_own(per, same, other):
    limiter = RateLimit(parse_rate("1/1m"), clock=ManualClock(), per=per)
    first = asked(tenant="t1") if per == "tenant" else asked()
    assert await passes(limiter, first) is None
    assert (await passes(limiter, same)).code == "RATE_LIMITED"
    assert await passes(limiter, other) is None


async def test_without_tenants_the_owner_stands_for_its_tenant():
    limiter = RateLimit(parse_rate("1/1m"), clock=ManualClock(), per="tenant")
    assert await passes(limiter, asked()) is None
    assert await passes(limiter, asked(connection="c2")) is not None
    assert await passes(limiter, asked(user="u2")) is None


async def test_the_refusal_names_the_limit_and_when_to_come_back_and_that_is_true():
    clock = ManualClock()
    limiter = RateLimit(parse_rate("100/1m"), clock=clock, burst=2)
    assert [await passes(limiter, asked()) for _ in range(2)] == [None, None]
    error = await passes(limiter, asked())
    assert (error.code, error.retryable, error.details) == ("RATE_LIMITED", True, {"retry_after_ms": 600})
    assert error.message == "Too many requests: this connection may send 100/1m; try again in 600ms"
    await clock.advance(0.599)
    assert (await passes(limiter, asked())).details["retry_after_ms"] in (1, 2)
    await clock.advance(0.002)
    assert await passes(limiter, asked()) is None


async def test_the_burst_is_the_limits_count_when_it_is_left_out():
    limiter = RateLimit(parse_rate("5/1s"), clock=ManualClock())
    assert [await passes(limiter, asked()) for _ in range(5)] == [None] * 5
    assert await passes(limiter, asked()) is not None


def test_it_stands_before_the_services_own_actions_unless_it_is_about_an_action():
    limit = parse_rate("1/1s")
    assert [RateLimit(limit, clock=ManualClock(), per=per).service_actions for per in
            ("connection", "principal", "tenant", "action")] == [True, True, True, False]  # fmt: skip


async def test_the_component_builds_it(tmp_path):
    clock = ManualClock()
    [component] = [one for one in components() if one.name == "rate_limit"]
    built = component.factory(
        {"limit": "2/1h", "burst": 1, "per": "principal"}, BuildContext(base_dir=tmp_path, clock=clock)
    )
    assert await passes(built, asked()) is None
    assert "you may send 2/1h" in (await passes(built, asked(connection="c2"))).message
    assert component.immediate
