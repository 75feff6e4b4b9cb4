"""Our own child processes: a socket pair, whole messages in both directions, and immediate notice of their end."""

from streamer.subprocesses.parent import Child

__all__ = ["Child"]
