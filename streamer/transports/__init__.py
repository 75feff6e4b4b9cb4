"""The transport: accepts WebSocket connections."""
