"""Builds a running service from settings and components."""
