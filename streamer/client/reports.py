"""Reports on the connection, for the program and the log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from streamer.client.machine import Phase, effects
from streamer.client.state import ConnectionState, Name

_NAMES: Final[dict[Phase, Name]] = {
    Phase.IDLE: "idle",
    Phase.CONNECTING: "connecting",
    Phase.OPEN: "open",
    Phase.REFUSED: "closed",
    Phase.CLOSED: "closed",
}

logger = logging.getLogger("streamer.client")


class Reports:
    """Calls the program's callbacks. Their exceptions are logged, and the connection continues.

    Args:
        url: for messages.
        on_reconnect: called each time the connection is open again.
        on_state_change: called with each change.
    """

    def __init__(
        self,
        url: str,
        on_reconnect: Callable[[], Any] | None,
        on_state_change: Callable[[ConnectionState], Any] | None,
    ) -> None:
        self._url = url
        self._on_reconnect = on_reconnect
        self._on_state_change = on_state_change

    def waiting(self, effect: effects.Wait, delay: float) -> None:
        """The next try is due after this many seconds."""
        if effect.code is not None:
            logger.info("The connection to %s ended (%s %s); connecting again", self._url, effect.code, effect.reason)
        elif effect.reason:
            logger.info("Not connected to %s yet: %s", self._url, effect.reason)
        self._change(ConnectionState("waiting", tries=effect.tries, delay=delay, reason=effect.reason))

    def phase(self, effect: effects.Report) -> None:
        """The connection is in another phase."""
        self._change(ConnectionState(_NAMES[effect.phase], code=effect.code, reason=effect.reason))

    def reopened(self) -> None:
        """The connection is open again."""
        if self._on_reconnect is not None:
            self._call("on_reconnect", self._on_reconnect)

    def unclear(self, waiting: int, text: bytes) -> None:
        """An error names no request, and may belong to any of several."""
        logger.warning(
            "The service sent an error that names no request, while %d requests have no answer: %s",
            waiting,
            text[:500].decode(errors="replace"),
        )

    def _change(self, state: ConnectionState) -> None:
        if self._on_state_change is not None:
            self._call("on_state_change", self._on_state_change, state)

    def _call(self, name: str, callback: Callable[..., Any], *arguments: Any) -> None:
        try:
            callback(*arguments)
        except Exception:
            logger.exception("%s failed; the connection continues", name)
