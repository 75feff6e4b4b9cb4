"""Child processes of our own: a socket pair, whole messages both ways, death noticed at once."""

from streamer.subprocesses.parent import Child

__all__ = ["Child"]
