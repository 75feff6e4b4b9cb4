"""The plugin's components. The entry point in `pyproject.toml` refers to this module."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from streamer import Component, handler, hookimpl

from .bulk_operation import bulk_operation
from .create_user import create_user
from .generate_report import generate_report
from .generator import RECORDS
from .process_data import process_data

# A property with `format: path` reaches the handler as an absolute path; relative ones start from the folder of the
# file. Missing options are filled with their defaults.
_DATA_DIR = {"type": "string", "format": "path", "default": "./data", "description": "The folder of the data"}
_OUTPUT_DIR = {"type": "string", "format": "path", "default": "./reports", "description": "The folder of the results"}
_RECORDS = {
    "type": "integer",
    "minimum": 1,
    "maximum": 10_000_000,
    "default": RECORDS,
    "description": "How many payments to generate if the data folder has none",
}


@hookimpl
def streamer_handlers() -> list[Component]:
    """The handlers; in the file, their names have the plugin's prefix."""
    return [
        handler(
            "create_user",
            create_user,
            options=_options(data_dir=_DATA_DIR),
            schema=_schema("create_user"),
            estimated_duration="200ms",
        ),
        handler(
            "generate_report",
            generate_report,
            options=_options(data_dir=_DATA_DIR, output_dir=_OUTPUT_DIR, records=_RECORDS),
            schema=_schema("generate_report"),
            result_schema=_schema("report"),
            estimated_duration="10s",
            cpu_bound=True,
        ),
        handler(
            "process_data",
            process_data,
            options=_options(
                data_dir=_DATA_DIR,
                output_dir=_OUTPUT_DIR,
                chunk_size=_count(1000, "Rows that are cleaned and written at a time"),
                max_rows=_count(1_000_000, "A file with more rows is rejected"),
                max_examples=_count(5, "Rejected rows that are shown per reason"),
            ),
            schema=_schema("process_data"),
            estimated_duration="10s",
        ),
        handler(
            "bulk_operation",
            bulk_operation,
            options=_options(
                data_dir=_DATA_DIR,
                records=_RECORDS,
                batch_size=_count(100, "Items per transaction, and between two progress reports"),
            ),
            schema=_schema("bulk_operation"),
            estimated_duration="10s",
        ),
    ]


def _schema(name: str) -> Any:
    return json.loads((files(__package__) / "schemas" / f"{name}.json").read_text("utf-8"))


def _options(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _count(default: int, description: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1, "default": default, "description": description}
