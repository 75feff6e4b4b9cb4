"""The rules of a queue, written once for every storage: fair turns, limits, leases, retries, expiry, and a clock that
is set back.
"""

from streamer.queue.storage_queue import StorageQueue

__all__ = ["StorageQueue"]
