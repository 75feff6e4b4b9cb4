"""The program of a writer that keeps nothing of the queue in memory, as where more waits than is kept there."""

from __future__ import annotations

from streamer.stores.sqlite import backlog, writer


def main(channel):
    backlog.MANY = 0
    writer.main(channel)
