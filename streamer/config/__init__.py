"""From text to frozen settings: document, environment, schema, lint. Knows nothing of what the settings build."""

from streamer.config.dump import dump
from streamer.config.loading import load
from streamer.config.problems import CODES, Problem
from streamer.config.settings import Settings
from streamer.config.shape import editor_schema

__all__ = ["CODES", "Problem", "Settings", "dump", "editor_schema", "load"]
