"""A set of keys over real HTTP."""

import asyncio

import pytest

from streamer.auth import key_fetcher
from streamer.auth.keys import KeyProblem


@pytest.fixture
async def serve():
    """Answers every connection with the bytes; None lets it hang. Remembers the requests."""
    servers, requests = [], []

    async def start(answer):
        async def handle(reader, writer):
            requests.append(await reader.readuntil(b"\r\n\r\n"))
            if answer is None:
                await reader.read()
            else:
                writer.write(answer)
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys?secret=s", requests

    yield start
    for server in servers:
        server.close()


def http(status, body=b"", **headers):
    lines = [
        f"HTTP/1.1 {status}",
        f"Content-Length: {len(body)}",
        *(f"{name}: {text}" for name, text in headers.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def test_the_body_is_what_is_there(serve):
    url, requests = await serve(http("200 OK", b'{"keys": []}'))
    assert await key_fetcher.fetch(url, 10) == b'{"keys": []}'
    assert b"GET /keys?secret=s HTTP/1.1" in requests[0]


@pytest.mark.parametrize("status", ["404 Not Found", "500 Oops", "204 No Content", "302 Found"])
async def test_another_status_is_no_answer_and_nothing_is_followed(serve, status):
    elsewhere, asked = await serve(http("200 OK", b"{}"))
    url, _ = await serve(http(status, Location=elsewhere))
    with pytest.raises(OSError, match=f"status {status[:3]}"):
        await key_fetcher.fetch(url, 10)
    assert len(asked) == 1


async def test_a_body_without_an_end_is_cut(serve, monkeypatch):
    monkeypatch.setattr(key_fetcher, "MAX_ANSWER", 100)
    url, _ = await serve(http("200 OK", b"x" * 101))
    with pytest.raises(KeyProblem, match="more than 100 bytes"):
        await key_fetcher.fetch(url, 10)


async def test_silence_ends_in_time(serve):
    url, _ = await serve(None)
    with pytest.raises(OSError, match="did not answer within 0.05s"):
        await key_fetcher.fetch(url, 0.05)


async def test_nobody_there_is_told_without_what_may_be_secret():
    with pytest.raises(OSError, match="cannot fetch") as caught:
        await key_fetcher.fetch("http://user:password@127.0.0.1:1/keys?key=hidden", 10)
    assert "password" not in str(caught.value)
    assert "hidden" not in str(caught.value)


async def test_nonsense_for_an_answer_is_told(serve):
    url, _ = await serve(b"SSH-2.0-hello\r\n\r\n")
    with pytest.raises(OSError, match="cannot fetch"):
        await key_fetcher.fetch(url, 10)
