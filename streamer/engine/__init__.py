"""The service itself. It knows only contracts: no socket, no file, no plugin."""
