"""Where queued requests live: in memory, or durably in SQLite."""
