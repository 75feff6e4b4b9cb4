"""The options' schemas."""

import subprocess
import sys

import pytest
from jsonschema import Draft202012Validator

from streamer.auth.options import JWT, NONE


@pytest.mark.parametrize("schema", [JWT, NONE], ids=["jwt", "none"])
def test_they_are_schemas(schema):
    Draft202012Validator.check_schema(schema)


def test_every_option_says_what_it_is_for():
    assert [name for name, option in JWT["properties"].items() if not option.get("description")] == []


def test_reading_them_imports_nothing_heavy():
    program = "import sys, streamer.auth.options; print({'jwt', 'cryptography', 'aiohttp'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"
