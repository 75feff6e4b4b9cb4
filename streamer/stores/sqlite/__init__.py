"""The built-in durable queue: SQLite, written by a separate process, with one commit for many callers."""

from streamer.stores.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
