"""Files, checked as the service checks them, and the tools that judge a template."""

from __future__ import annotations

import json
import subprocess

import pytest
import yaml

from streamer.config import load
from streamer.config.document import read_document
from streamer.engine.validation import Validator
from streamer.plugins.manager import discover
from streamer.runtime import builtins
from streamer_aws.sam.template import Choices, render, template

SMALL = """
version: 1
service: {name: small}
auth: {use: none, allow_anyone: true}
backends:
  store: {use: dynamodb}
  connections: {use: apigateway}
actions:
  echo: {handler: echo}
"""

# What AWS runs on a template with SAM's transform before CloudFormation sees it.
TRANSFORM = """
import json, sys
from samtranslator.translator.transform import transform
class Policies:
    def load(self):
        return {}
json.dump(transform(json.load(sys.stdin), {}, Policies()), sys.stdout)
"""


def with_builtins(plugins):
    return discover(plugins, builtins=[builtins])


@pytest.fixture(scope="session")
def find_components():
    return with_builtins


@pytest.fixture
def read(tmp_path):
    """The settings and the unfilled data of a file with this text."""

    def of(text=SMALL, **environ):
        path = tmp_path / "streamer.yaml"
        path.write_text(text)
        settings = load(path, discover=with_builtins, environ=environ, compile_schema=Validator)
        return settings, read_document(path).data

    return of


@pytest.fixture
def exported(read):
    """The template of a file with this text, as a program reads it back."""

    def of(text=SMALL, *, choices=None, **environ):
        return yaml.safe_load(render(template(*read(text, **environ), choices or Choices())))

    return of


@pytest.fixture
def small():
    return SMALL


@pytest.fixture
def lint(aws_tool, tmp_path):
    """What cfn-lint says of templates: nothing. Most of its time is its start."""
    program = aws_tool("cfn-lint")

    def check(*templates):
        paths = [tmp_path / f"template-{number}.json" for number in range(len(templates))]
        for path, made in zip(paths, templates, strict=True):
            path.write_text(made if isinstance(made, str) else json.dumps(made))
        command = [program, "--include-checks", "I", "--regions", "eu-central-1", "--", *map(str, paths)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        return done.stdout + done.stderr

    return check


@pytest.fixture
def transformed(aws_tool):
    """The template as SAM's own transform makes it, for CloudFormation."""
    aws_tool("cfn-lint")
    python = aws_tool("python")

    def of(made):
        packed = json.loads(json.dumps(made))
        # Where `sam deploy` puts the folder; the transform itself uploads nothing.
        packed["Globals"]["Function"]["CodeUri"] = "s3://a-bucket/a-key"
        done = subprocess.run(
            [python, "-c", TRANSFORM],
            input=json.dumps(packed),
            env={"AWS_DEFAULT_REGION": "eu-central-1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return of
