"""The embedded durable queue: SQLite, written by a process of its own, many callers to one commit."""

from streamer.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
