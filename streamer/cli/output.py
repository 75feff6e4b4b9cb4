"""What goes to standard output: JSON and tables. Colours and frames only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import click

_NARROWEST: Final = 20
"""Characters that a folding column keeps, however narrow the terminal is."""


def json_bytes(value: Any, *, pretty: bool = True) -> bytes:
    """One JSON value in UTF-8, as RFC 8259 asks, whatever the terminal's encoding is; without a line break at its end.

    Mappings and sets that are not plain ones are written as objects and arrays.
    """
    text = json.dumps(
        value,
        indent=2 if pretty else None,
        separators=None if pretty else (",", ":"),
        ensure_ascii=False,
        default=_plain,
    )
    # A lone surrogate has no UTF-8 form; it goes out as the question mark that it is to everyone.
    return text.encode("utf-8", "replace")


def write_json(value: Any, *, pretty: bool = True) -> None:
    """Writes one JSON value and a line break."""
    click.echo(json_bytes(value, pretty=pretty))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, AbstractSet) else str(value)


def write_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, folding: Collection[str] = ()) -> None:
    """Writes a table: by rich on a terminal; else as aligned text, one line a row and nothing cut, for grep.

    Args:
        columns: their titles.
        rows: a cell for each column.
        folding: titles of the columns that may take several lines a row on a terminal; the others, such as ids that
            will be copied, stay whole.
    """
    clean = [[" ".join(cell.split()) or "-" for cell in row] for row in (columns, *rows)]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    if sys.stdout.isatty():
        _write_rich_table(clean, widths, [column in folding for column in columns])
        return
    for row in clean:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _write_rich_table(rows: Sequence[Sequence[str]], widths: Sequence[int], folds: Sequence[bool]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title, fold in zip(rows[0], folds, strict=True):
        table.add_column(title, overflow="fold", no_wrap=not fold)
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    console = Console()
    # rich would cut what does not fit; a terminal that is too narrow rather breaks the line.
    needed = sum(2 + (min(width, _NARROWEST) if fold else width) for width, fold in zip(widths, folds, strict=True))
    Console(width=max(console.width, needed)).print(table)


def write_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Writes names and what they are, one pair a line, aligned; further lines of a value stand under its first."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        first, *rest = value.splitlines() or ["-"]
        click.echo(f"{click.style(name.ljust(width), bold=True)}  {first}")
        for line in rest:
            click.echo(f"{' ' * width}  {line}")
