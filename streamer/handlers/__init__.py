"""The built-in handlers, and what makes handlers of functions."""
