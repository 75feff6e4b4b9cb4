"""The package's public names."""

import subprocess
import sys

import pytest

import streamer.config


@pytest.mark.parametrize("name", streamer.config.__all__)
def test_every_public_name_is_there(name):
    assert getattr(streamer.config, name) is not None


def test_another_name_is_an_ordinary_mistake():
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        _ = streamer.config.lod


def test_importing_the_package_does_not_import_jsonschema():
    program = "import sys, streamer.config, streamer.config.settings; sys.exit('jsonschema' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
