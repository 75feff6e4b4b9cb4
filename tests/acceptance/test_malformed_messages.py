"""Two thousand malformed messages over one real connection: each is answered, nothing breaks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest
import websockets

CONFIG = """
version: 1
server: {port: 0, max_message_size: 256KiB}
backends: {store: {use: memory}}
logs: {format: json}
actions:
  echo:
    handler: echo
    schema:
      type: object
      properties: {n: {type: integer, maximum: 10}, s: {type: string, maxLength: 10}}
      required: [n]
      additionalProperties: false
"""
GOOD = {"action": "echo", "id": "good", "payload": {"n": 1}, "metadata": {"a": "b"}}
WRONG: list[Any] = [None, True, 3, -1.5, "text", "", [], {}, [1], {"a": 1}]


def random_text(choose: random.Random) -> str:
    return "".join(chr(choose.randrange(1, 0xD800)) for _ in range(choose.randrange(1, 60)))


def cut_json(choose: random.Random) -> str:
    text = json.dumps(GOOD)
    return text[: choose.randrange(len(text))]


def wrong_types(choose: random.Random) -> str:
    field, values = choose.choice(
        [
            ("action", [value for value in WRONG if not isinstance(value, str)]),
            ("id", [value for value in WRONG if value is not None and value != "text"]),
            ("metadata", [value for value in WRONG if value is not None and value != {}]),
            ("type", [value for value in WRONG if value != "request"]),
            ("wait", [True, -1, "soon", [], {}, "-1s"]),
            ("payload", WRONG),
        ]
    )
    return json.dumps({**GOOD, field: choose.choice(values)})


def deep(choose: random.Random) -> str:
    levels = choose.choice([64, 65, 100, 900, 5000, 20000])
    opening, closing = choose.choice([("[", "]"), ('{"a":', "}")])
    inner = opening * levels + "1" + closing * levels
    return choose.choice([f'{{"action":"echo","id":"good","payload":{inner}}}', inner, opening * levels])


def huge_number(choose: random.Random) -> str:
    number = choose.choice(
        ["1e999", "-1e999", "9" * 4299, "9" * 5000, "1" + "0" * 400, "0." + "1" * 5000 + "e400", "NaN"]
    )
    return f'{{"action":"echo","id":"good","payload":{{"n":{number}}}}}'


def lone_surrogate(choose: random.Random) -> str:
    escape = choose.choice(["\\ud800", "\\udfff", "\\ud83d\\u0020", "a\\udc00b"])
    place = choose.choice(['"payload":{"n":1,"s":"X"}', '"id":"X"', '"metadata":{"X":"X"}', '"payload":{"X":1}'])
    return '{"action":"echo",' + place.replace("X", escape) + "}"


def violations(choose: random.Random) -> str:
    payload = choose.choice([{}, {"n": 11}, {"n": "1"}, {"n": 1, "s": "x" * 11}, {"n": 1, "other": 1}, None, []])
    return json.dumps({**GOOD, "payload": payload})


def other(choose: random.Random) -> str:
    return choose.choice(
        ["", " ", "null", "[]", '"text"', "{}", "{", "\ufeff{}", '{"action":""}', '{"action":"no such"}', "{'a':1}",
         '{"action":"nothing"}', '{"action":"streamer.nothing"}', '{"action":"echo","id":"' + "x" * 129 + '"}',
         '{"action":"echo","id":"a\\u0000b","payload":{"n":1}}', '{"action":"' + "x" * 129 + '"}', "//", "<xml/>"]
    )  # fmt: skip


KINDS = [random_text, cut_json, wrong_types, deep, huge_number, lone_surrogate, violations, other]


async def test_each_of_2000_malformed_messages_gets_its_error_and_the_connection_lives(
    start_service: Callable[..., Any], seed: int
) -> None:
    choose = random.Random(seed)
    service = start_service(CONFIG)
    async with websockets.connect(service.url) as socket:
        for number in range(2000):
            message = KINDS[number % len(KINDS)](choose)
            await socket.send(message)
            answer = json.loads(await socket.recv())
            assert answer["type"] == "error", (message[:200], answer)
            error = answer["error"]
            assert error["code"] in ("VALIDATION_ERROR", "INVALID_ACTION"), (message[:200], answer)
            assert error["message"]
            assert error["retryable"] is False
        await socket.send(json.dumps(GOOD))
        assert json.loads(await socket.recv())["data"]["echo"] == {"n": 1}
    assert service.stop() == 0
    assert "Traceback" not in "".join(service.raw)
    assert not [entry for entry in service.log if entry.get("level") == "error"], service.log


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([b"\x00\x01"], 1003),
        (["x" * (256 * 1024 + 1)], 1009),
        ([["x" * 140_000, "x" * 140_000]], 1009),
    ],
    ids=["binary", "oversize", "oversize in fragments"],
)
async def test_frames_that_the_protocol_forbids_close_with_their_code(
    start_service: Callable[..., Any], frames: list[Any], code: int
) -> None:
    service = start_service(CONFIG)
    async with websockets.connect(service.url) as socket:
        for frame in frames:
            await socket.send(frame)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == code
    async with websockets.connect(service.url) as socket:
        await socket.send(json.dumps(GOOD))
        assert json.loads(await socket.recv())["success"] is True
    assert service.stop() == 0
    assert "Traceback" not in "".join(service.raw)


async def test_text_that_is_not_utf8_closes_with_1007(start_service: Callable[..., Any]) -> None:
    service = start_service(CONFIG)
    async with websockets.connect(service.url) as socket:
        await socket.send(b'{"action":"echo\xff"}', text=True)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1007
    assert service.stop() == 0
