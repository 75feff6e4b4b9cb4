"""What goes to standard output: JSON and tables. Colours and frames only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import click


def write_json(value: Any, *, pretty: bool = True) -> None:
    """Writes one JSON value and a line break, in UTF-8 whatever the terminal's encoding is, as RFC 8259 asks."""
    text = json.dumps(
        value,
        indent=2 if pretty else None,
        separators=None if pretty else (",", ":"),
        ensure_ascii=False,
        default=_plain,
    )
    # A lone surrogate has no UTF-8 form; it goes out as the question mark that it is to everyone.
    click.echo(text.encode("utf-8", "replace"))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, AbstractSet) else str(value)


def write_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Writes a table: by rich on a terminal; else as aligned text, one line a row and nothing cut, for grep."""
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        Console().print(table)
        return
    clean = [[" ".join(cell.split()) or "-" for cell in row] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    for row in clean:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def write_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Writes names and what they are, one pair a line, aligned; further lines of a value stand under its first."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        first, *rest = value.splitlines() or ["-"]
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {first}")
        for line in rest:
            click.echo(f"{' ' * width}  {line}")
