"""Finds dead and idle connections: one look at all of them, instead of a timer for each."""

from __future__ import annotations

from streamer.config.settings import ServerSettings
from streamer.core.clock import Clock
from streamer.transports.close_codes import GOING_AWAY
from streamer.transports.peer import WebSocketPeer

TICKS = 4
"""Looks in the shortest of the intervals: silence is measured to a quarter of it."""


class Heartbeat:
    """Pings connections that are silent, cuts those that do not answer, closes those that only stay.

    An interval of 0 turns its part off. A connection that is idle is closed with 1001, which invites the client to
    connect again when it needs to; a client that waits for a request is not idle, however long it says nothing. One
    that does not answer is cut without a close frame, for nobody would read it.
    """

    def __init__(self, settings: ServerSettings, peers: set[WebSocketPeer], clock: Clock) -> None:
        self._ping_after = settings.ping_interval
        self._pong_within = settings.ping_timeout
        self._idle_after = settings.idle_timeout
        self._peers = peers
        self._clock = clock
        waits = (settings.ping_interval and settings.ping_timeout, settings.ping_interval, settings.idle_timeout)
        self._tick = min((wait for wait in waits if wait), default=0.0) / TICKS

    async def run(self) -> None:
        """Looks until it is cancelled; returns at once when there is nothing to look for."""
        before = self._clock.monotonic()
        while self._tick:
            await self._clock.sleep(self._tick)
            now = self._clock.monotonic()
            self.look(now - before)
            before = now

    def look(self, passed: float) -> None:
        """Judges each connection by what it did in the seconds that passed since the last look."""
        for peer in list(self._peers):
            if self._ping_after:
                self._judge_silence(peer, passed)
            if self._idle_after:
                self._judge_idleness(peer, passed)

    def _judge_silence(self, peer: WebSocketPeer, passed: float) -> None:
        if peer.heard or peer.stirred():
            peer.heard = peer.pinged = False
            peer.quiet = 0.0
            return
        peer.quiet += passed
        if not peer.pinged:
            if peer.quiet >= self._ping_after:
                # From the ping on the time belongs to the pong, however late the look was.
                peer.pinged = True
                peer.quiet = self._ping_after
                peer.ping()
        elif self._pong_within and peer.quiet >= self._ping_after + self._pong_within:
            peer.give_up()

    def _judge_idleness(self, peer: WebSocketPeer, passed: float) -> None:
        if peer.spoke or peer.waits():
            peer.spoke = False
            peer.idle = 0.0
            return
        peer.idle += passed
        if peer.idle >= self._idle_after:
            peer.close(GOING_AWAY, "idle")
