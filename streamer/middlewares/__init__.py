"""The built-in middlewares."""
