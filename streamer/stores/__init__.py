"""Built-in stores of queued requests: in memory, or durable in SQLite."""
