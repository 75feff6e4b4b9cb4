"""Finds dead and idle connections: one check for all of them, instead of a timer for each."""

from __future__ import annotations

from streamer.config.settings import ServerSettings
from streamer.core.clock import Clock
from streamer.transports.close_codes import GOING_AWAY
from streamer.transports.peer import WebSocketPeer

TICKS = 4
"""Checks per interval, for the shortest interval: silence is measured to a quarter of it."""


class Heartbeat:
    """Pings silent connections, disconnects those that do not answer, and closes idle ones.

    An interval of 0 disables its check. An idle connection is closed with 1001, after which the client may connect
    again when necessary; a client that waits for a request is not idle. A connection that does not answer is
    disconnected without a close frame, which it would not read.
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
        """Checks until it is cancelled; returns immediately when both checks are disabled."""
        before = self._clock.monotonic()
        while self._tick:
            await self._clock.sleep(self._tick)
            now = self._clock.monotonic()
            self.look(now - before)
            before = now

    def look(self, passed: float) -> None:
        """Checks each connection by its activity since the last check."""
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
                # After the ping, the time limit is that of the pong, however late the check was.
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
