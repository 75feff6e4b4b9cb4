"""What is no request, and who is no client: the same answers in every home.

What may differ between homes is said in `test_conversations.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from dialogue.client import Refused
from dialogue.messages import echo, error, response

pytestmark = pytest.mark.asyncio(loop_scope="module")
plain = pytest.mark.clients("websockets", "ws")
"""What this project's clients would not say."""

Open = Callable[..., Any]

# What is no request


MALFORMED = {
    "cut off": (
        '{"action"',
        error(None, "VALIDATION_ERROR", "The message is not valid JSON: Input data was truncated"),
    ),
    "no object": ("[1]", error(None, "VALIDATION_ERROR", "The message must be a JSON object")),
    "without an action": (
        '{"id": "r1"}',
        error(
            "r1",
            "VALIDATION_ERROR",
            "The message has no action",
            errors=[{"path": "/action", "message": "is required"}],
        ),
    ),
    "of another type": (
        '{"id": "r1", "action": "echo", "type": "response"}',
        error(
            "r1",
            "VALIDATION_ERROR",
            "Invalid message: type: must be 'request' if it is present",
            errors=[{"path": "/type", "message": "must be 'request' if it is present"}],
        ),
    ),
    "too deep": (
        f'{{"id": "r1", "action": "echo", "payload": {"[" * 70}{"]" * 70}}}',
        error("r1", "VALIDATION_ERROR", "The message has more than 64 levels of arrays and objects"),
    ),
    "metadata that is no text": (
        '{"id": "r1", "action": "echo", "metadata": {"a": 1}}',
        error(
            "r1",
            "VALIDATION_ERROR",
            "Invalid message: metadata: Expected `str`, got `int`",
            errors=[{"path": "/metadata", "message": "Expected `str`, got `int`"}],
        ),
    ),
}


@plain
@pytest.mark.parametrize("name", MALFORMED)
async def test_a_message_that_cannot_be_read_is_an_error_and_the_connection_lives(open_client: Open, name: str) -> None:
    client = await open_client()
    text, told = MALFORMED[name]
    await client.send(text)
    await client.until(lambda: client.connection.messages)
    assert client.connection.messages == [told]
    assert await client.call("echo", 1) == echo(1)


@plain
async def test_a_request_without_an_id_gets_one(open_client: Open) -> None:
    client = await open_client()
    await client.send('{"action": "echo"}')
    await client.until(lambda: client.connection.messages)
    (answer,) = client.connection.messages
    assert answer["request_id"].startswith("req_")


@plain
async def test_a_binary_frame_closes_with_1003(open_client: Open) -> None:
    client = await open_client()
    await client.send(b'{"action": "echo"}', binary=True)
    assert await client.closed() == 1003


@plain
async def test_text_that_is_not_utf_8_closes_with_1007(open_client: Open) -> None:
    client = await open_client()
    await client.send(b'{"action": "\xff"}')
    assert await client.closed() == 1007


@plain
async def test_fields_that_the_protocol_does_not_know_do_no_harm(open_client: Open) -> None:
    client = await open_client()
    await client.send('{"type": "request", "action": "echo", "id": "r1", "colour": "red"}')
    assert await client.heard("r1") == [response("r1", echo(None))]


# What is no client


@plain
@pytest.mark.parametrize("bad", ["x" * 3000, "%00"], ids=["long", "unprintable"])
async def test_a_client_id_that_is_none_is_refused(open_client: Open, bad: str) -> None:
    with pytest.raises(Refused) as refused:
        await open_client(query=f"client_id={bad}")
    assert refused.value.status == 400


@plain
async def test_only_pages_that_are_let_in_may_connect(open_client: Open) -> None:
    client = await open_client(headers={"Origin": "https://app.example.com"})
    assert await client.call("echo", 1) == echo(1)
    with pytest.raises(Refused) as refused:
        await open_client(headers={"Origin": "https://elsewhere.example.com"})
    assert refused.value.status == 403


# Too much


@pytest.mark.clients("websockets", "ws", "python")
async def test_a_message_of_many_frames_is_one_message(open_client: Open) -> None:
    client = await open_client()
    await client.ask("echo", "x" * 100_000, id="r1")
    assert await client.heard("r1") == [response("r1", echo("x" * 100_000))]


async def test_a_message_that_is_too_large_closes_with_1009(open_client: Open) -> None:
    client = await open_client()
    await client.ask("echo", "x" * 132_000, id="r1")
    assert await client.closed() == 1009
