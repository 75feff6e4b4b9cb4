"""The built-in connection manager."""
