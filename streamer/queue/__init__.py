"""What a queue promises, written once: fair turns, limits, and how a repeated write is recognised. No store's own."""
