"""Sockets in the middle of their handshake: how many there may be."""

from __future__ import annotations

from collections.abc import Callable


class PendingHandshake:
    """A socket that has not finished its handshake.

    Attributes:
        address_block: what its address counts as; None for a trusted proxy's, behind which are many.
        leave: ends it.
    """

    __slots__ = ("address_block", "leave")

    def __init__(self, address_block: str | None, leave: Callable[[], object]) -> None:
        self.address_block = address_block
        self.leave = leave


class HandshakePool:
    """Bounds them in all and by address; the oldest makes room for one more.

    A handshake takes an honest client a moment, and an idle one forever. So a crowd of idle sockets pushes out its own,
    and keeps nobody else from coming.

    Args:
        most: in all.
        most_of_one: of one address.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        # Dicts, for their order: the oldest first.
        self._all: dict[PendingHandshake, None] = {}
        self._of_one: dict[str, dict[PendingHandshake, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, visitor: PendingHandshake) -> None:
        """One more; what is too much leaves."""
        if visitor.address_block is not None:
            same = self._of_one.setdefault(visitor.address_block, {})
            if len(same) >= self._most_of_one:
                self._push_out(next(iter(same)))
                # The last one of an address takes its entry along.
                same = self._of_one.setdefault(visitor.address_block, same)
            same[visitor] = None
        if len(self._all) >= self._most:
            self.push_out_oldest()
        self._all[visitor] = None

    def discard(self, visitor: PendingHandshake) -> None:
        """It has finished, or has gone."""
        if visitor not in self._all:
            return
        del self._all[visitor]
        if visitor.address_block is not None:
            same = self._of_one[visitor.address_block]
            del same[visitor]
            if not same:
                del self._of_one[visitor.address_block]

    def push_out_oldest(self) -> bool:
        """Makes room. Returns False when nobody is there."""
        oldest = next(iter(self._all), None)
        if oldest is not None:
            self._push_out(oldest)
        return oldest is not None

    def empty(self) -> None:
        """All leave."""
        while self.push_out_oldest():
            pass

    def _push_out(self, visitor: PendingHandshake) -> None:
        self.discard(visitor)
        visitor.leave()
