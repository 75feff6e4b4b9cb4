"""What a queue promises, written once, for any storage: turns, limits, leases, retries, expiry, a clock set back."""

from streamer.queue.storage_queue import StorageQueue

__all__ = ["StorageQueue"]
