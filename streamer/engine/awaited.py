"""Messages that are held back until the acknowledgment before them was sent."""

from __future__ import annotations

from streamer.contracts.stores import Key


class Awaited:
    """One connection that is to get the messages of one request once that is acknowledged to it."""

    __slots__ = ("held", "messages")

    def __init__(self) -> None:
        self.held: list[tuple[bytes, bool]] = []
        """What waits, in order, and whether it is the outcome; nothing follows an outcome."""
        self.messages = 1
        """How many messages of this connection are to be acknowledged with this request, or refused."""

    def hold(self, message: bytes, *, final: bool) -> None:
        """Holds the message back; drops it if the outcome is already held."""
        if not (self.held and self.held[-1][1]):
            self.held.append((message, final))


class AwaitedAcknowledgments:
    """All of them."""

    def __init__(self) -> None:
        self.by_key: dict[Key, dict[str, Awaited]] = {}
        """By request, and then by connection. For reading only."""

    def add(self, key: Key, connection_id: str) -> None:
        """One more message of the connection is to be acknowledged."""
        connections = self.by_key.setdefault(key, {})
        awaited = connections.get(connection_id)
        if awaited is None:
            connections[connection_id] = Awaited()
        else:
            awaited.messages += 1

    def get(self, key: Key, connection_id: str) -> Awaited | None:
        """What the connection is to get of the request; None when it awaits no acknowledgment."""
        connections = self.by_key.get(key)
        return None if connections is None else connections.get(connection_id)

    def give_up(self, key: Key, connection_id: str) -> None:
        """One message less is to be acknowledged; with the last one goes what was held back."""
        awaited = self.get(key, connection_id)
        if awaited is not None:
            awaited.messages -= 1
            if awaited.messages == 0:
                self.drop(key, connection_id)

    def drop(self, key: Key, connection_id: str) -> None:
        """Nothing is held back for the connection any more."""
        connections = self.by_key.get(key)
        if connections is not None and connections.pop(connection_id, None) is not None and not connections:
            del self.by_key[key]
