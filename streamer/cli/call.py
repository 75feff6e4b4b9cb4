"""`streamer call`."""

from __future__ import annotations

from pathlib import Path

import click

from streamer.cli import exits
from streamer.cli.options import Duration, block, config_option, examples
from streamer.cli.payload import metadata_of, payload_of

_STATUSES = block("Exit status", *(f"{status:3}  {meaning}" for status, meaning in exits.OF_A_CALL))


@click.command(
    short_help="Send a request to a running service.",
    epilog=examples(
        'streamer call echo \'{"hello": "world"}\'',
        "streamer call generate_report @report.json --timeout 10m",
        "jq .order order.json | streamer call create_order - --id order-17",
        "streamer call streamer.actions",
        "streamer call bulk_operation @items.json --json | jq -r 'select(.type == \"progress\") | .percentage'",
        "streamer call quote '{}' --url wss://quotes.example.com/ws --wait 2s",
    )
    + "\n\n"
    + _STATUSES,
)
@click.argument("action")
@click.argument("payload", required=False)
@click.option("--url", help="The address of the service. Default: the 'server' section of the configuration file.")
@config_option
@click.option("--id", "request_id", help="The id of the request. The same id with the same payload never runs twice.")
@click.option(
    "--metadata", multiple=True, metavar="KEY=VALUE", help="Metadata for the handler, a string; can be repeated."
)
@click.option(
    "--wait",
    type=Duration(),
    help="How long to wait for a direct answer before the request is queued; 0 queues it at once.",
)
@click.option("--timeout", type=Duration(), help="How long to wait for the outcome. Default: no limit.")
@click.option(
    "--client-id",
    envvar="STREAMER_CLIENT_ID",
    show_envvar=True,
    help="A secret that identifies you as the owner of queued requests. Use the same one to query them later.",
)
@click.option(
    "--token",
    envvar="STREAMER_TOKEN",
    show_envvar=True,
    help="Your token, if the service requires one. Other users of this machine can see options, but not the variable.",
)
@click.option("--no-reconnect", is_flag=True, help="Exit when the connection breaks, instead of reconnecting.")
@click.option("--no-progress", is_flag=True, help="Show no progress.")
@click.option(
    "--json", "as_json", is_flag=True, help="Write each message of the service as one line of JSON, the outcome last."
)
def command(
    *,
    action: str,
    payload: str | None,
    url: str | None,
    config_path: Path,
    request_id: str | None,
    metadata: tuple[str, ...],
    wait: float | None,
    timeout: float | None,
    client_id: str | None,
    token: str | None,
    no_reconnect: bool,
    no_progress: bool,
    as_json: bool,
) -> None:
    """Send one request to a running service and wait for its outcome.

    PAYLOAD is JSON, @FILE, or - for standard input. The result is written to standard output as JSON. Progress is
    written to standard error: a progress bar on a terminal, plain lines otherwise. If the connection breaks, the
    command reconnects and resumes the request, even after a restart of the service. --timeout limits the total time.
    """
    from streamer.cli.single_call import Call

    content, pairs = payload_of(payload), metadata_of(metadata)
    if url is None:
        from streamer.cli.config_file import url_of_service

        url = url_of_service(config_path)
    call = Call(
        url=url,
        action=action,
        payload=content,
        request_id=request_id,
        metadata=pairs,
        wait=wait,
        timeout=timeout,
        client_id=client_id,
        token=token,
        reconnect=not no_reconnect,
        as_json=as_json,
        show_progress=not no_progress,
    )
    click.get_current_context().exit(call.run())
