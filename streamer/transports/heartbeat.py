"""Finds dead and idle connections: one look at all of them, instead of a timer for each."""

from __future__ import annotations

from streamer.config.settings import ServerSettings
from streamer.core.clock import Clock
from streamer.transports.peer import WebSocketPeer

POLICY = 1008
TICKS = 4
"""Looks per ping interval: silence is measured to a quarter of it."""


class Heartbeat:
    """Pings connections that are silent, cuts those that do not answer, closes those that only stay."""

    def __init__(self, settings: ServerSettings, peers: set[WebSocketPeer], clock: Clock) -> None:
        self._settings = settings
        self._peers = peers
        self._clock = clock
        shortest = min(
            interval for interval in (settings.ping_interval, settings.ping_timeout, settings.idle_timeout or 1e9)
        )
        self._tick = shortest / TICKS

    async def run(self) -> None:
        """Looks until it is cancelled."""
        before = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._tick)
            now = self._clock.monotonic()
            self.look(now - before)
            before = now

    def look(self, passed: float) -> None:
        """Judges each connection by what it did in the seconds that passed since the last look."""
        settings = self._settings
        for peer in list(self._peers):
            if peer.heard:
                peer.heard = False
                peer.quiet = 0.0
            else:
                before = peer.quiet
                peer.quiet += passed
                if peer.quiet >= settings.ping_interval + settings.ping_timeout:
                    peer.cut()
                    continue
                if before < settings.ping_interval <= peer.quiet:
                    peer.ping()
            if peer.spoke:
                peer.spoke = False
                peer.idle = 0.0
            elif settings.idle_timeout:
                peer.idle += passed
                if peer.idle >= settings.idle_timeout and not peer.running:
                    peer.close(POLICY, "idle")
