"""Options that commands share."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from streamer.cli.options import Duration, examples


@click.command()
@click.option("--wait", type=Duration(), default=1.5)
def show(wait):
    click.echo(wait)


@pytest.mark.parametrize(("given", "seconds"), [(["--wait", "1m30s"], "90.0"), (["--wait", "0"], "0.0"), ([], "1.5")])
def test_a_duration_is_seconds(given, seconds):
    assert CliRunner().invoke(show, given).output.strip() == seconds


def test_a_duration_without_its_unit_is_a_usage_error_that_shows_how_to_write_it():
    result = CliRunner().invoke(show, ["--wait", "30"])
    assert result.exit_code == 2
    assert "as in 250ms or 1m30s" in result.output


def test_examples_keep_their_lines():
    assert examples("streamer a", "streamer b") == "\b\nExamples:\n  streamer a\n  streamer b"
