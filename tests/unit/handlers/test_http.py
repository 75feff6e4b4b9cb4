from __future__ import annotations

import asyncio
import gzip
import json
import socket

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from streamer.contracts.components import BuildContext
from streamer.core.errors import Error, StartError
from streamer.core.messages import Result
from streamer.handlers.http import build


@pytest.fixture
def context(tmp_path, log):
    return BuildContext(base_dir=tmp_path, logger=log)


@pytest.fixture
async def serve():
    """`await serve(handler)`: the URL of a real server on loopback that answers everything with it."""
    servers: list[TestServer] = []

    async def start(answer) -> str:
        application = web.Application()
        application.router.add_route("*", "/{tail:.*}", answer)
        server = TestServer(application)
        await server.start_server()
        servers.append(server)
        return str(server.make_url("/quote"))

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
def call(context, request_of):
    async def go(url: str, payload=None, *, request=None, **options) -> Result:
        async with build({"url": url, **options}, context) as handler:
            return await handler.process(request or request_of(payload))

    return go


async def refused(awaitable) -> Error:
    with pytest.raises(Error) as caught:
        await awaitable
    return caught.value


async def reflect(request: web.Request) -> web.Response:
    return web.json_response(
        {
            "method": request.method,
            "query": dict(request.query),
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "body": (await request.read()).decode(),
        }
    )


async def test_the_payload_is_the_json_body_and_the_request_is_described_in_headers(serve, call, request_of):
    request = request_of({"a": ["ü"]}, id="req ü%\n1", attempt=2)
    data = (await call(await serve(reflect), request=request)).data
    assert data["method"] == "POST"
    assert json.loads(data["body"]) == {"a": ["ü"]}
    headers = data["headers"]
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"] == "req%20%C3%BC%25%0A1"
    assert (headers["x-streamer-action"], headers["x-streamer-attempt"]) == ("act", "2")


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("content-type", "application/json"),
        ("ACCEPT", "application/json, application/x-ndjson"),
        ("user-agent", None),
        ("x-request-id", None),
        ("X-STREAMER-ACTION", None),
        ("host", None),
    ],
)
async def test_a_header_of_the_file_replaces_ours_whatever_its_case(serve, call, name, ours):
    async def every(request: web.Request) -> web.Response:
        return web.json_response(request.headers.getall(name))

    if ours is not None:
        assert (await call(await serve(every))).data == [ours]
    assert (await call(await serve(every), headers={name: "of-the-file"})).data == ["of-the-file"]


@pytest.mark.parametrize(
    ("query", "payload", "seen"),
    [
        ("key=own", {"key": "evil", "q": "1"}, [["key", "own"], ["q", "1"]]),
        ("key=own", {"key[]": "evil", "key[a]": "evil", " key": "evil"}, [["key", "own"]]),
        ("a%20b=&c", {"a b": "x", "c": 1, "d": True}, [["a b", ""], ["c", ""], ["d", "true"]]),
        ("key=own&key=two", {"key": 3, "k": "key=evil"}, [["key", "own"], ["key", "two"], ["k", "key=evil"]]),
        ("filter[a]=own", {"filter": "evil", "filter[b]": "evil"}, [["filter[a]", "own"]]),
    ],
)  # fmt: skip
async def test_a_payload_does_not_change_the_parameters_of_the_url(serve, call, query, payload, seen):
    async def every(request: web.Request) -> web.Response:
        return web.json_response(list(request.query.items()))

    assert (await call(f"{await serve(every)}?{query}", payload, method="GET")).data == seen


async def test_a_compressed_answer_that_unpacks_to_very_much_is_refused(serve, call):
    async def bomb(_request: web.Request) -> web.Response:
        packed = gzip.compress(bytes(64 * 1024 * 1024))
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    error = await refused(call(await serve(bomb), max_response="1MiB"))
    assert error.message == "The endpoint's answer is too large"


async def test_a_streamed_flood_of_lines_leaves_the_loop_to_others(serve, call):
    async def flood(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        await response.write(b"\n" * 500_000 + b'{"result": 1}')
        return response

    turns = 0

    def turn() -> None:
        nonlocal turns
        turns += 1
        asyncio.get_running_loop().call_soon(turn)

    turn()
    url = await serve(flood)
    turns = 0
    assert (await call(url)).data == 1
    assert turns > 100


async def test_method_and_headers_come_from_the_file(serve, call):
    data = (await call(await serve(reflect), method="PUT", headers={"Authorization": "Bearer x"})).data
    assert data["method"] == "PUT"
    assert data["headers"]["authorization"] == "Bearer x"
    assert data["body"] == "null"


@pytest.mark.parametrize(
    ("payload", "query"),
    [
        (
            {"q": "a&b", "n": 3, "f": 1.5, "yes": True, "list": [1], "none": None},
            {"q": "a&b", "n": "3", "f": "1.5", "yes": "true"},
        ),
        (None, {}),
        ([1], {}),
    ],
)
async def test_a_get_carries_the_payload_in_its_query(serve, call, payload, query):
    data = (await call(await serve(reflect), payload, method="GET")).data
    assert (data["method"], data["query"], data["body"]) == ("GET", query, "")


async def test_text_and_nothing_are_results_too(serve, call):
    async def text(_request):
        return web.Response(text="hello")

    async def nothing(_request):
        return web.Response(status=204)

    assert (await call(await serve(text))).data == {"body": "hello", "content_type": "text/plain; charset=utf-8"}
    assert await call(await serve(nothing)) == Result(data=None)


async def test_a_refusal_becomes_an_error_and_its_body_goes_to_the_log(serve, call, log):
    async def refuse(_request):
        return web.Response(status=503, text="secret reason", headers={"Retry-After": "2"})

    url = await serve(refuse)
    error = await refused(call(url.replace("http://", "http://user:hunter2@") + "?key=hunter2"))
    assert error == Error(
        "INTERNAL_ERROR",
        "The endpoint answered with status 503",
        {"status": 503, "retry_after_ms": 2000},
        retryable=True,
    )
    assert "secret reason" in error.__notes__[0]
    assert [line[:2] for line in log.lines] == [("warning", f"{url} answered with status 503")]


async def test_which_statuses_are_retried_is_the_files_choice(serve, call):
    async def refuse(request):
        return web.Response(status=int((await request.read()).decode()))

    url = await serve(refuse)
    assert [(await refused(call(url, status))).retryable for status in (500, 404)] == [True, False]
    chosen = {"retry_statuses": [404]}
    assert [(await refused(call(url, status, **chosen))).retryable for status in (500, 404)] == [False, True]


async def test_redirects_are_not_followed(serve, call):
    async def move(_request):
        raise web.HTTPFound("http://127.0.0.1:1/other")

    error = await refused(call(await serve(move)))
    assert (error.code, error.details) == ("INTERNAL_ERROR", {"status": 302})
    assert "http://127.0.0.1:1/other" in error.__notes__[0]


async def test_cookies_of_one_request_are_not_sent_with_the_next(serve, context, request_of):
    async def bake(request):
        response = web.json_response(dict(request.cookies))
        response.set_cookie("user", "ada")
        return response

    async with build({"url": await serve(bake)}, context) as handler:
        assert [(await handler.process(request_of())).data for _ in range(2)] == [{}, {}]


async def test_an_endpoint_that_is_not_there_is_a_retryable_error(call):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        error = await refused(call(f"http://127.0.0.1:{bound.getsockname()[1]}/x?key=hunter2"))
    assert error == Error("INTERNAL_ERROR", "The endpoint could not be reached", retryable=True)
    assert "ClientConnectorError" in error.__notes__[0]
    assert "hunter2" not in error.__notes__[0]


async def test_an_answer_that_breaks_off_is_a_retryable_error(serve, call):
    async def break_off(request):
        response = web.StreamResponse(headers={"Content-Length": "100", "Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"a":')
        request.transport.abort()
        return response

    error = await refused(call(await serve(break_off)))
    assert (error.code, error.retryable) == ("INTERNAL_ERROR", True)


async def test_an_endpoint_that_takes_too_long_is_a_timeout(serve, call):
    never = asyncio.Event()

    async def hang(_request):
        await never.wait()

    error = await refused(call(await serve(hang), timeout="50ms"))
    assert error == Error("TIMEOUT", "The endpoint took longer than 50ms", retryable=True)
    never.set()


async def test_an_answer_over_max_response_is_an_error(serve, call):
    async def large(_request):
        return web.Response(text="x" * 5000)

    url = await serve(large)
    assert len((await call(url)).data["body"]) == 5000
    error = await refused(call(url, max_response="4KiB"))
    assert error == Error("INTERNAL_ERROR", "The endpoint's answer is too large", {"status": 200})
    assert "4096" in error.__notes__[0]


def stream(*pieces: bytes, status: int = 200, content_type: str = "application/x-ndjson"):
    async def answer(request):
        response = web.StreamResponse(status=status, headers={"Content-Type": content_type})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        return response

    return answer


async def test_a_streamed_answer_is_progress_then_a_result(serve, call, recorder):
    answer = stream(b'{"progress": 40, "message": "half", "met', b'adata": {"rows": 3}}\n', b'{"result": [1]}\n')
    assert (await call(await serve(answer))).data == [1]
    assert recorder.reports == [(40.0, "half", {"rows": 3})]


async def test_progress_of_a_streamed_answer_is_live(serve, call, recorder):
    seen = asyncio.Event()
    recorder.on_report = seen.set

    async def answer(request):
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        await response.prepare(request)
        await response.write(b'{"progress": 1}\n')
        await seen.wait()
        await response.write(b'{"result": 2}')
        return response

    assert (await call(await serve(answer))).data == 2


async def test_an_error_in_a_streamed_answer_is_the_answer(serve, call):
    answer = stream(b'{"error": {"code": "NO_ROOM", "message": "full"}}\n')
    assert await refused(call(await serve(answer))) == Error("NO_ROOM", "full")


async def test_a_streamed_answer_without_a_result_is_a_retryable_error(serve, call):
    error = await refused(call(await serve(stream(b'{"progress": 1}\n'))))
    assert error == Error(
        "INTERNAL_ERROR", "The endpoint's answer ended without a result", {"status": 200}, retryable=True
    )


async def test_a_streamed_answer_that_breaks_the_protocol_is_an_error(serve, call):
    error = await refused(call(await serve(stream(b'{"progress": 1}\n', b"bye\n"))))
    assert (error.code, error.details) == ("INTERNAL_ERROR", {"line": 2})


async def test_a_streamed_refusal_is_read_as_any_other(serve, call):
    answer = stream(b'{"error": {"code": "NO_ROOM", "message": "full"}}\n', status=409)
    assert await refused(call(await serve(answer))) == Error("NO_ROOM", "full", {"status": 409})


async def test_a_cancelled_request_lets_its_connection_go(serve, context, request_of):
    arrived, hung_up = asyncio.Event(), asyncio.Event()

    async def hang(_request):
        arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            hung_up.set()

    async with build({"url": await serve(hang)}, context) as handler:
        task = asyncio.ensure_future(handler.process(request_of()))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await hung_up.wait()


@pytest.mark.parametrize(
    "url", ["api.example.com/x", "ftp://example.com", "http://", "http://a:99999/", "http://[1/", ""]
)
async def test_a_url_that_http_cannot_reach_is_said_when_the_service_starts(context, url):
    with pytest.raises(StartError, match="must start with http:// or https:// and contain a host"):
        async with build({"url": url}, context):
            pass


async def test_its_estimate_is_half_a_second(context):
    async with build({"url": "http://127.0.0.1:1"}, context) as handler:
        assert handler.estimated_duration() == 0.5
