"""Unfinished handshakes, and their limits."""

from __future__ import annotations

from collections.abc import Callable


class PendingHandshake:
    """A socket whose handshake is not finished.

    Attributes:
        address_block: the block that counts as its address; None for a trusted proxy, which has many clients.
        leave: closes it.
    """

    __slots__ = ("address_block", "leave")

    def __init__(self, address_block: str | None, leave: Callable[[], object]) -> None:
        self.address_block = address_block
        self.leave = leave


class HandshakePool:
    """Limits them in total and by address; the oldest is closed for one more.

    An honest client finishes a handshake quickly, an idle one never. So many idle sockets of one address only replace
    each other, and keep no other client from connecting.

    Args:
        most: in total.
        most_of_one: of one address.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        # Dicts, because they are ordered: the oldest first.
        self._all: dict[PendingHandshake, None] = {}
        self._of_one: dict[str, dict[PendingHandshake, None]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def enter(self, visitor: PendingHandshake) -> None:
        """Adds a handshake; closes the oldest above a limit."""
        if visitor.address_block is not None:
            same = self._of_one.setdefault(visitor.address_block, {})
            if len(same) >= self._most_of_one:
                self._push_out(next(iter(same)))
                # The last handshake of an address removes its entry.
                same = self._of_one.setdefault(visitor.address_block, same)
            same[visitor] = None
        if len(self._all) >= self._most:
            self.push_out_oldest()
        self._all[visitor] = None

    def discard(self, visitor: PendingHandshake) -> None:
        """A handshake has finished, or was closed."""
        if visitor not in self._all:
            return
        del self._all[visitor]
        if visitor.address_block is not None:
            same = self._of_one[visitor.address_block]
            del same[visitor]
            if not same:
                del self._of_one[visitor.address_block]

    def push_out_oldest(self) -> bool:
        """Closes the oldest. Returns False when there is none."""
        oldest = next(iter(self._all), None)
        if oldest is not None:
            self._push_out(oldest)
        return oldest is not None

    def empty(self) -> None:
        """Closes all."""
        while self.push_out_oldest():
            pass

    def _push_out(self, visitor: PendingHandshake) -> None:
        self.discard(visitor)
        visitor.leave()
