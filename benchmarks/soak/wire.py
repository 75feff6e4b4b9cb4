"""What passes over the wire, read along and held against the protocol, message by message."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

_MARKERS = re.compile(rb'"marker":"([^"]+)"')
TERMINAL = ("complete", "error")
KEPT = 60
"""Messages of one request that are kept to explain a violation."""


class Frames:
    """The text messages of one direction. What is not whole stays for later; other frames are passed over.

    Args:
        on_ping: called with the body of each ping, in its place among the messages.
    """

    def __init__(self, on_ping: Callable[[bytes], None] = lambda _: None) -> None:
        self._on_ping = on_ping
        self._buffer = bytearray()
        self._upgraded = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        buffer = self._buffer
        buffer += data
        if not self._upgraded:
            _, end, rest = buffer.partition(b"\r\n\r\n")
            if not end:
                return
            self._upgraded = True
            buffer = self._buffer = rest
        while len(buffer) >= 2:
            masked, length, at = buffer[1] & 0x80, buffer[1] & 0x7F, 2
            if length == 126:
                length, at = int.from_bytes(buffer[2:4]), 4
            elif length == 127:
                length, at = int.from_bytes(buffer[2:10]), 10
            mask = bytes(buffer[at : at + 4]) if masked else b""
            at += len(mask)
            if len(buffer) < at + length or (masked and len(mask) < 4):
                return
            body = bytes(buffer[at : at + length])
            opcode = buffer[0]
            del buffer[: at + length]
            if opcode == 0x81:
                yield _unmasked(body, mask) if masked else body
            elif opcode == 0x89:
                self._on_ping(body)


def _unmasked(body: bytes, mask: bytes) -> bytes:
    length = len(body)
    repeated = (mask * (length // 4 + 1))[:length]
    return (int.from_bytes(body) ^ int.from_bytes(repeated)).to_bytes(length)


class Story:
    """What was seen of one queued request, over all its owner's connections."""

    __slots__ = ("acknowledged", "newest", "seen", "sent", "terminal")

    def __init__(self) -> None:
        self.sent = 0
        self.acknowledged = False
        self.newest = -1
        self.terminal: dict[str, Any] | None = None
        self.seen: list[str] = []


class Wire:
    """All connections. `problems` says what broke the protocol."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.stories: dict[tuple[str, str], Story] = {}
        self.counts: Counter[str] = Counter()
        self.received: set[tuple[str, str]] = set()
        """Whose outcome the client itself has read, and not only the relay has passed on: by client and request id."""
        self.markers: dict[str, str] = {}
        """Of each owner: the secret that no other may see."""
        self._connections = 0

    def connection(self, client_id: str) -> Tap:
        self._connections += 1
        self.counts["connections"] += 1
        return Tap(self, client_id, self._connections)

    def story(self, client_id: str, request_id: str) -> Story:
        key = (client_id, request_id)
        story = self.stories.get(key)
        if story is None:
            story = self.stories[key] = Story()
        return story

    def wrong(self, what: str, client_id: str, request_id: str) -> None:
        story = self.stories.get((client_id, request_id))
        trace = "\n    ".join(story.seen if story is not None else [])
        self.problems.append(f"{client_id[:12]} {request_id}: {what}\n    {trace}")


class Tap:
    """One connection."""

    def __init__(self, wire: Wire, client_id: str, number: int) -> None:
        self._wire = wire
        self._client_id = client_id
        self._number = number
        self._newest: dict[str, int] = {}
        self._ended: set[str] = set()
        self._known: dict[str, int] = {}
        """The `after_seq` of each request that was resumed here."""

    def sent(self, text: bytes) -> None:
        """By the client."""
        self._wire.counts["messages sent"] += 1
        try:
            message = msgspec.json.decode(text)
            request_id, action = message["id"], message["action"]
        except (msgspec.DecodeError, LookupError, TypeError):
            return
        if action == "streamer.resume":
            asked = message.get("payload") or {}
            if "after_seq" in asked:
                self._known[asked["request_id"]] = asked["after_seq"]
        if not isinstance(request_id, str) or not isinstance(action, str) or action.startswith("streamer."):
            return
        story = self._wire.story(self._client_id, request_id)
        story.sent += 1
        self._wire.counts["requests sent" if story.sent == 1 else "resends"] += 1
        self._note(story, f"-> {action}")

    def heard(self, text: bytes) -> None:
        """By the client."""
        wire = self._wire
        wire.counts["messages heard"] += 1
        own = wire.markers.get(self._client_id, "").encode()
        for marker in _MARKERS.findall(text):
            if marker != own:
                wire.problems.append(f"{self._client_id[:12]} saw what is not its own: {text[:300]!r}")
        message = msgspec.json.decode(text)
        request_id = message.get("request_id")
        if "seq" not in message:
            return
        story = wire.story(self._client_id, request_id)
        kind, seq = message["type"], message["seq"]
        self._note(story, f"<- {kind} {seq}")
        if request_id in self._ended:
            self._wrong("something came after its terminal message on one connection", request_id)
        if request_id in self._newest and (kind == "acknowledgment" or seq <= self._newest[request_id]):
            self._wrong("a message is not newer than the one before it on one connection", request_id)
        if seq <= self._known.get(request_id, -1):
            self._wrong(f"a message is not newer than what was resumed after {self._known[request_id]}", request_id)
        self._newest[request_id] = seq
        if kind == "acknowledgment":
            if not story.acknowledged:
                wire.counts["acknowledged"] += 1
            story.acknowledged = True
        elif kind in TERMINAL:
            self._ended.add(request_id)
            wire.counts["terminal messages"] += 1
            self._end(story, message)
        story.newest = max(story.newest, seq)

    def _end(self, story: Story, message: dict[str, Any]) -> None:
        outcome = {name: value for name, value in message.items() if name != "timestamp"}
        if story.terminal is None:
            if message["seq"] <= story.newest:
                self._wrong("its terminal message steps back", message["request_id"])
            story.terminal = outcome
        elif story.terminal != outcome:
            self._wrong(f"its outcome changed from {story.terminal} to {outcome}", message["request_id"])

    def _wrong(self, what: str, request_id: str) -> None:
        self._wire.wrong(what, self._client_id, request_id)

    def _note(self, story: Story, what: str) -> None:
        if len(story.seen) < KEPT:
            story.seen.append(f"{time.time():.3f} connection {self._number} {what}")
