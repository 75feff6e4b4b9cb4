"""From settings and components to a running service."""
