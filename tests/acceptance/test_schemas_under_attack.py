"""A client sends payloads that are wrong at the bottom of a recursive schema, all the time: nobody else notices."""

from __future__ import annotations

import asyncio
import json
import time

import pytest
import websockets

CONFIG = """
version: 1
server: {port: 0, refused_limit: 1000000/1s, drain_timeout: 5s}
backends: {store: {use: memory}}
logs: {format: json}
actions:
  echo: {handler: echo}
  search:
    handler: echo
    schema:
      oneOf:
        - {type: object, required: [op, args], properties: {op: {const: and}, args: {type: array, items: {$ref: '#'}}}}
        - {type: object, required: [op, args], properties: {op: {const: or}, args: {type: array, items: {$ref: '#'}}}}
        - type: object
          required: [field, value]
          properties: {field: {type: string}, value: {type: number}}
          additionalProperties: false
  either:
    handler: echo
    schema: {anyOf: [{items: {$ref: '#'}}, {items: {$ref: '#'}}], type: array}
"""
ECHOES = 150
LATE = 0.1
"""Seconds in which the 99th percentile of the echoes must be answered."""
STOPPED = 15
"""Seconds: the drain, and a machine that does other work."""


def nested(levels: int) -> object:
    payload: object = {"field": "a", "value": "no number"}
    for _ in range(levels):
        payload = {"op": "and", "args": [payload]}
    return payload


ATTACKS = [
    json.dumps({"action": "search", "payload": nested(14)}),
    json.dumps({"action": "search", "payload": nested(30)}),
    json.dumps({"action": "either", "payload": json.loads("[" * 60 + "1" + "]" * 60)}),
    json.dumps({"action": "echo", "wait": "9" * 120_000}),
]


async def attack(url: str) -> None:
    async with websockets.connect(url, max_size=None) as socket:
        for number in range(1_000_000):
            await socket.send(ATTACKS[number % len(ATTACKS)])
            answer = json.loads(await socket.recv())
            assert answer["error"]["code"] == "VALIDATION_ERROR"


async def echoes(url: str) -> list[float]:
    times = []
    async with websockets.connect(url) as socket:
        for number in range(ECHOES):
            began = time.perf_counter()
            await socket.send(json.dumps({"action": "echo", "payload": number}))
            answer = json.loads(await socket.recv())
            times.append(time.perf_counter() - began)
            assert answer["data"]["echo"] == number
    return sorted(times)


async def test_an_attacker_with_a_recursive_schema_holds_up_nobody(start_service):
    service = await asyncio.to_thread(start_service, CONFIG)
    attackers = [asyncio.create_task(attack(service.url)) for _ in range(2)]
    try:
        # A machine that does other work is late by itself; a service that is held up is late each time.
        for _ in range(4):
            late = (await asyncio.wait_for(echoes(service.url), 60))[ECHOES * 99 // 100]
            if late < LATE:
                break
        assert not any(attacker.done() for attacker in attackers)
        began = time.perf_counter()
        assert await asyncio.to_thread(service.stop) == 0
        stopped = time.perf_counter() - began
    finally:
        for attacker in attackers:
            attacker.cancel()
        await asyncio.gather(*attackers, return_exceptions=True)
    print(f"99 % of {ECHOES} echoes within {late:.4f} s, stopped in {stopped:.1f} s")
    assert late < LATE
    assert stopped < STOPPED


@pytest.mark.parametrize("attack", ATTACKS, ids=["filter 14", "filter 30", "either 60", "wait"])
async def test_each_attack_is_answered_soon(start_service, attack):
    service = await asyncio.to_thread(start_service, CONFIG)
    async with websockets.connect(service.url, max_size=None) as socket:
        await socket.send(attack)
        answer = json.loads(await asyncio.wait_for(socket.recv(), 5))
    assert answer["error"]["code"] == "VALIDATION_ERROR"
