"""Holds messages back until the acknowledgment before them was sent."""

from __future__ import annotations

from streamer.contracts.stores import Key


class Awaited:
    """One connection that will get the messages of a request after its acknowledgment."""

    __slots__ = ("held", "messages")

    def __init__(self) -> None:
        self.held: list[tuple[bytes, bool]] = []
        """The held messages, in order, and whether each is the outcome; nothing follows an outcome."""
        self.messages = 1
        """How many messages of this connection will be acknowledged with this request, or refused."""

    def hold(self, message: bytes, *, final: bool) -> None:
        """Holds the message. A message after the outcome is dropped."""
        if not (self.held and self.held[-1][1]):
            self.held.append((message, final))


class AwaitedAcknowledgments:
    """All of them."""

    def __init__(self) -> None:
        self.by_key: dict[Key, dict[str, Awaited]] = {}
        """By request, and then by connection. Read-only."""

    def add(self, key: Key, connection_id: str) -> None:
        """Another message of the connection will be acknowledged."""
        connections = self.by_key.setdefault(key, {})
        awaited = connections.get(connection_id)
        if awaited is None:
            connections[connection_id] = Awaited()
        else:
            awaited.messages += 1

    def get(self, key: Key, connection_id: str) -> Awaited | None:
        """The held messages of the request for the connection; None when it awaits no acknowledgment."""
        connections = self.by_key.get(key)
        return None if connections is None else connections.get(connection_id)

    def give_up(self, key: Key, connection_id: str) -> None:
        """A message was acknowledged or refused; after the last one, the held messages are removed."""
        awaited = self.get(key, connection_id)
        if awaited is not None:
            awaited.messages -= 1
            if awaited.messages == 0:
                self.drop(key, connection_id)

    def drop(self, key: Key, connection_id: str) -> None:
        """Removes everything that is held for the connection."""
        connections = self.by_key.get(key)
        if connections is not None and connections.pop(connection_id, None) is not None and not connections:
            del self.by_key[key]
