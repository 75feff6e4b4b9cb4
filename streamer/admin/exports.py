"""`streamer export prometheus-rules` and `streamer export grafana`."""

from __future__ import annotations

from typing import Any, Final

import click

_SETTINGS: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"]}
"""Those of the command line: a click command keeps the help option of its first caller."""


@click.command(context_settings=_SETTINGS, short_help="Write alerting rules for Prometheus.")
@click.option(
    "--objective",
    type=click.FloatRange(95, 99.999),
    default=99.0,
    show_default=True,
    help="Percent of the requests that should end without an error, over 30 days.",
)
def prometheus_rules(objective: float) -> None:
    """Write alerting rules for Prometheus on standard output: a file for its rule_files."""
    from streamer.admin.alert_rules import as_yaml  # noqa: PLC0415 - a command imports what it needs when it runs

    click.echo(as_yaml(objective), nl=False)


@click.command(context_settings=_SETTINGS, short_help="Write a dashboard for Grafana.")
@click.option("--title", default="streamer", show_default=True, help="The title of the dashboard.")
def grafana(title: str) -> None:
    """Write a dashboard for Grafana on standard output: JSON, for Dashboards, New, Import."""
    from streamer.admin.dashboard import as_json  # noqa: PLC0415 - as above

    click.echo(as_json(title), nl=False)
