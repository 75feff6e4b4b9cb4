"""No setting is a decoration: each is read by what it is said to steer."""

from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import pytest

import streamer
from streamer.config import settings

ROOT = Path(streamer.__file__).parent
RECORDS = [
    settings.ServiceSettings,
    settings.ServerSettings,
    settings.TlsSettings,
    settings.BackendSettings,
    settings.WorkerSettings,
    settings.AdminSettings,
    settings.RateLimitSettings,
    settings.RetrySettings,
    settings.ActionSettings,
    settings.PluginSettings,
    settings.LogSettings,
    settings.Settings,
]


def attributes_read_outside_the_configuration():
    read = set()
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] != "config":
            read |= {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    return read


SHOWN_ONLY = {"secret_places"}  # what `streamer config` must hide; nothing else needs to know where
READ = attributes_read_outside_the_configuration()


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_setting_is_read_by_the_service(record):
    assert [field.name for field in fields(record) if field.name not in {*READ, *SHOWN_ONLY}] == []
