"""The interfaces that plugins implement, as protocols. The docstring of each method is its promise."""
