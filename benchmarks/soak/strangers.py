"""The clients that do not behave: they send rubbish, vanish, do not read, and ask for what is not theirs."""

from __future__ import annotations

import asyncio
import contextlib
import random

from benchmarks.soak.raw import BINARY, Gone, RawSocket
from benchmarks.soak.wire import Wire

RUBBISH = (
    b"{",
    b"[]",
    b"null",
    b'{"action":1}',
    b'{"action":"nap","id":""}',
    b'{"action":"nap","metadata":{"a":1}}',
    b'{"action":"no-such"}',
    b'{"action":"streamer.cancel","payload":null}',
    b"[" * 200,
    b'{"action":"echo","payload":1e999}',
)
READ_NOTHING = 3.0
COME_BACK = 30.0
PIECE = 8192
"""Bytes that a slow reader takes at once."""


class Stranger:
    """One client over raw sockets.

    Args:
        number: of this client.
        port: of the relay.
        wire: learns its marker, is told what went wrong, and knows other people's requests.
        seed: of the whole soak.
    """

    def __init__(self, number: int, port: int, wire: Wire, seed: int) -> None:
        self._generator = random.Random(f"{seed} stranger {number}")
        self.client_id = f"stranger-{number}-{self._generator.getrandbits(64):x}"
        self._marker = f"{self._generator.getrandbits(96):x}"
        wire.markers[self.client_id] = self._marker
        self._wire = wire
        self._port = port
        self._number = number
        self._made = 0
        self._left: set[str] = set()

    async def live(self, until: asyncio.Event) -> None:
        """One mischief after another, each on a connection of its own, until told to stop."""
        mischiefs = (
            self._talk_rubbish,
            self._snoop,
            self._vanish,
            self._do_not_read,
            self._tear,
            self._take_ids,
            self._read_slowly,
        )
        while not until.is_set():
            try:
                socket = await RawSocket.open(self._port, self.client_id, self._wire)
                self._wire.counts["mischiefs"] += 1
                try:
                    await self._generator.choice(mischiefs)(socket)
                finally:
                    socket.abort()
            except Gone:
                pass
            await asyncio.sleep(self._generator.uniform(0.1, 1.0))

    async def come_back(self) -> None:
        """Hears how everything ended that is still to be told: once each.

        Raises:
            Gone: it was not told.
        """
        socket = await RawSocket.open(self._port, self.client_id, self._wire)
        try:
            socket.send(action="streamer.resume", id="resume")
            open_: set[str] | None = None
            ended: set[str] = set()
            while open_ is None or not open_ <= ended:
                message = await socket.hear(COME_BACK)
                if message.get("request_id") == "resume":
                    open_ = set(message["data"]["requests"])
                    for request_id in open_ & self._left - ended:
                        # These go on for as long as somebody follows them.
                        socket.send(action="streamer.cancel", id="cancel", payload={"request_id": request_id})
                elif "seq" in message and message["type"] in ("complete", "error"):
                    ended.add(message["request_id"])
            self._wire.counts["told on coming back"] += len(ended)
        finally:
            socket.abort()

    async def _talk_rubbish(self, socket: RawSocket) -> None:
        for rubbish in self._generator.sample(RUBBISH, 4):
            socket.write(rubbish)
            answer = await socket.hear()
            if answer["type"] != "error":
                self._wire.problems.append(f"{rubbish!r} was answered with {answer}")
        socket.send(action="streamer.ping", id="alive")
        await socket.hear()
        socket.write(b"binary", BINARY)

    async def _snoop(self, socket: RawSocket) -> None:
        for request_id in self._ids_of_others(5):
            action = self._generator.choice(("streamer.status", "streamer.resume", "streamer.cancel"))
            socket.send(action=action, id="snoop", payload={"request_id": request_id})
            answer = await socket.hear()
            code = answer.get("error", {}).get("code")
            if code not in ("NOT_FOUND", "OVERLOADED"):
                self._wire.problems.append(f"a foreign {action} of {request_id} was answered with {answer}")
            self._wire.counts["foreign requests asked for"] += 1

    async def _vanish(self, socket: RawSocket) -> None:
        for action in self._generator.choices(("left", "nap", "queued", "thread"), k=3):
            self._submit(socket, action)
        await asyncio.sleep(self._generator.uniform(0, 0.2))

    async def _do_not_read(self, socket: RawSocket) -> None:
        for _ in range(20):
            self._submit(socket, self._generator.choice(("nap", "queued", "flaky")), "x" * 2000)
        await asyncio.sleep(self._generator.uniform(0, READ_NOTHING))
        heard = 0
        while heard < 20:
            heard += (await socket.hear())["type"] in ("complete", "error")

    async def _read_slowly(self, socket: RawSocket) -> None:
        """Large outcomes over a slow line; what is not taken by the time comes with a later resume."""
        for _ in range(3):
            self._submit(socket, "big")
        heard = 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._generator.uniform(2, 12)):
                while heard < 3:
                    heard += (await socket.hear(size=PIECE, pause=0.05))["type"] in ("complete", "error")

    async def _tear(self, socket: RawSocket) -> None:
        self._submit(socket, "queued")
        socket.write(b'{"action":"queued","payload":"torn in the middle"}', cut_at=self._generator.randrange(1, 40))
        await asyncio.sleep(0.05)

    async def _take_ids(self, socket: RawSocket) -> None:
        """The ids that others use: to this owner they are free."""
        taken = self._ids_of_others(3)
        payload = {"marker": self._marker, "taken": self._number}
        for request_id in taken:
            socket.send(action="queued", id=request_id, payload=payload)
        ended = 0
        while ended < len(taken):
            message = await socket.hear()
            ended += message["type"] in ("complete", "error")
            if message["type"] == "complete" and message["result"]["echo"] != payload:
                self._wire.problems.append(f"the result of another's request: {message}")

    def _ids_of_others(self, count: int) -> list[str]:
        """Newest first seen, and not in use here too."""
        stories = self._wire.stories
        others = [name for owner, name in list(stories)[-500:] if owner.startswith("person")]
        free = [name for name in others if (self.client_id, name) not in stories]
        return self._generator.sample(free, min(count, len(free)))

    def _submit(self, socket: RawSocket, action: str, filling: str = "") -> None:
        self._made += 1
        request_id = f"s{self._number}-{self._made}"
        if action == "left":
            self._left.add(request_id)
        socket.send(action=action, id=request_id, payload={"marker": self._marker, "filling": filling})
