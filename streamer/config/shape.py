"""The file's JSON Schema, and components' option schemas with the file's units."""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

UNITS: Final = ("duration", "size", "rate")


@cache
def file_schema() -> dict[str, Any]:
    """The schema of `streamer.yaml` without components. It is shared: do not change it."""
    # Not importlib.resources, which imports modules for archives and temporary files.
    text = pkgutil.get_data("streamer.config", "streamer.schema.json")
    assert text is not None
    return json.loads(text)  # type: ignore[no-any-return]  # our own file


def with_units(schema: Any) -> Any:
    """A component's option schema with `format: duration | size | rate` replaced by the file's own definitions.

    JSON Schema's own `duration` is ISO 8601's; an editor would ask for `PT5S`.
    """
    if isinstance(schema, list):
        return [with_units(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    made = {key: with_units(value) for key, value in schema.items()}
    unit = made.get("format")
    if unit in UNITS:
        del made["format"]
        return {**file_schema()["$defs"][unit], **made}
    return made
