"""The clients of `benchmarks.connections`: one process, many connections, told over stdin what to do.

`python -m benchmarks.holding '{"url": …, "connections": …, "source": "127.0.0.2"}'` opens them and prints one JSON
object; for each line `{"seconds": …, "rate": …}` that it then reads it sends so many requests a second over each
connection, and prints what it measured. It ends with its stdin.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from array import array
from typing import Any

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from benchmarks.message import SYNC, constant_parts, frame

AT_ONCE = 100
"""Handshakes under way at one time."""
LAST_ANSWERS = 2.0
"""Seconds after the last request that its answer may take."""
TICK = 0.001
"""Seconds between two looks at who is to send."""


class Held(WSListener):
    """One connection. It says nothing until it is asked to, and every answer is checked."""

    text = frame(SYNC)

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems
        self._sent = 0.0
        self._expected: tuple[bytes, bytes] | None = None
        self.times = array("d")
        self.waiting = False

    def on_ws_connected(self, transport: WSTransport) -> None:
        # Ready-made frames go around picows' own masking: the load must cost less than what it measures.
        self._write = transport.underlying_transport.write

    def on_ws_frame(self, _transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        took = time.perf_counter() - self._sent
        answer = frame.get_payload_as_bytes()
        if self._expected is None:
            try:
                self._expected = constant_parts(answer)
            except (ValueError, TypeError, AttributeError) as problem:
                self._problems.append(f"{problem}: {answer!r}")
                return
        before, after = self._expected
        if not (self.waiting and answer.startswith(before) and answer.endswith(after)):
            self._problems.append(f"an answer out of place: {answer!r}")
        self.waiting = False
        self.times.append(took)

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        self._problems.append("the server ended a connection")

    def ask(self) -> bool:
        """Sends a request, unless the last one is still unanswered. Returns whether it did."""
        if self.waiting:
            return False
        self.waiting = True
        self._sent = time.perf_counter()
        self._write(self.text)
        return True


async def hold(url: str, connections: int, source: str, problems: list[str]) -> list[Held]:
    """Opens the connections, from the given source address: each has some 28,000 ports of its own."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one() -> Held:
        async with room:
            _, held = await ws_connect(lambda: Held(problems), url, local_addr=(source, 0))
            return held

    return await asyncio.gather(*(one() for _ in range(connections)))


async def ask_steadily(held: list[Held], seconds: float, rate: float) -> dict[str, Any]:
    """Each connection sends at its own moments, whether the service is quick or not; none of them waits for others."""
    for one in held:
        one.times = array("d")
    began = time.perf_counter()
    period = 1 / (rate * len(held))
    sent = skipped = 0
    lateness = array("d")
    while (now := time.perf_counter() - began) < seconds:
        while sent + skipped < now / period:
            number = sent + skipped
            lateness.append(now - number * period)
            if held[number % len(held)].ask():
                sent += 1
            else:
                skipped += 1
        await asyncio.sleep(TICK)
    # Whoever is not answered by then counts as not answered.
    await asyncio.sleep(LAST_ANSWERS)
    times = sorted(took for one in held for took in one.times)
    late = sorted(lateness)
    return {
        "sent": sent,
        "answered": len(times),
        "skipped": skipped,
        "p50": times[len(times) // 2],
        "p99": times[len(times) * 99 // 100],
        "worst": times[-1],
        "client_late_p99": late[len(late) * 99 // 100],
    }


async def main(job: dict[str, Any]) -> None:
    problems: list[str] = []
    began = time.perf_counter()
    held = await hold(job["url"], job["connections"], job["source"], problems)
    print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        order = json.loads(line)
        print(json.dumps(await ask_steadily(held, **order) | {"problems": problems[:3]}), flush=True)
    if problems:
        sys.exit(problems[0])


if __name__ == "__main__":
    uvloop.run(main(json.loads(sys.argv[1])))
