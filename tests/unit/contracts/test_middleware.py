"""A middleware that overrides nothing lets everything through."""

from streamer.contracts.middleware import Middleware
from streamer.core.messages import Request, Result


async def test_what_is_not_overridden_lets_the_request_through():
    seen = []

    async def admitted(request):
        seen.append(request)

    async def handler(request):
        return Result(data=request.id)

    request = Request(id="r", action="a")
    middleware = Middleware()
    await middleware.admit(request, admitted)
    assert seen == [request]
    assert await middleware.process(request, handler) == Result(data="r")


def test_a_middleware_promises_nothing_about_its_first_step_unless_it_says_so():
    assert Middleware.immediate is False
