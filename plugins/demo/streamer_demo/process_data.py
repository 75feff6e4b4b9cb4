"""Cleans a CSV of payments in chunks."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import IO, Any, Self

from streamer import Error, Request, cancelled

from .cleaning import Cleaner, Problem, column_names
from .files import request_folder, whole_file

_LONGEST_VALUE = 60
_ENDINGS = (".csv", ".csv.gz")


def process_data(
    request: Request, *, data_dir: Path, output_dir: Path, chunk_size: int, max_rows: int, max_examples: int
) -> dict[str, Any]:
    """Validates, cleans and transforms a CSV; lists rejected rows with reasons.

    Args:
        request: its payload contains the CSV (`csv`), or the path of a file in `data_dir` (`path`).
        data_dir: the only folder that files are read from.
        output_dir: the parent of a folder for each request, with the accepted rows in `cleaned.csv`.
        chunk_size: rows cleaned and written at a time; memory contains only one chunk and the ids.
        max_rows: a file with more rows is rejected.
        max_examples: rejected rows that are shown per reason.
    """
    payload = request.payload
    path = request_folder(output_dir, request) / "cleaned.csv"
    summary = _Summary(max_examples)
    with _Source(payload, data_dir) as source, whole_file(path) as temporary:
        rows = source.rows(payload.get("delimiter", ","))
        columns = _header(next(rows, (1, []))[1])
        cleaner = Cleaner(columns, payload.get("decimal", "."))
        with temporary.open("w", encoding="utf-8", newline="") as file:
            written = csv.writer(file, lineterminator="\n")
            written.writerow(columns)
            for chunk in iter(lambda: list(islice(rows, chunk_size)), []):
                written.writerows(summary.sort(cleaner, columns, chunk))
                if summary.read > max_rows:
                    raise Error("TOO_LARGE", f"more than {max_rows:,} rows; split the file", {"max_rows": max_rows})
                text = f"{summary.read:,} rows read, {summary.refused:,} rejected"
                request.progress.report(100 * source.fraction, text, rows=summary.read, refused=summary.refused)
                if cancelled():
                    # A thread cannot be stopped from outside; raising here also removes the unfinished file.
                    raise Error("CANCELLED", "the request was cancelled")
    return {"file": str(path), "columns": columns, **summary.result()}


class _Source:
    """The text of the CSV, and the fraction that has been read."""

    def __init__(self, payload: dict[str, Any], data_dir: Path) -> None:
        self._payload = payload
        self._data_dir = data_dir
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        if "path" in self._payload:
            path = _inside(self._data_dir, self._payload["path"])
            self._raw: IO[bytes] = self._stack.enter_context(path.open("rb"))
            self._size = path.stat().st_size
        else:
            text = self._payload["csv"].encode()
            self._raw, self._size = io.BytesIO(text), len(text)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def fraction(self) -> float:
        return min(1.0, self._raw.tell() / max(1, self._size))

    def rows(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Rows that are not blank, each with the number of its first line."""
        packed = str(self._payload.get("path", "")).endswith(".gz")
        binary: IO[bytes] | gzip.GzipFile = gzip.GzipFile(fileobj=self._raw) if packed else self._raw
        text = self._stack.enter_context(io.TextIOWrapper(binary, "utf-8-sig", newline=""))
        lines = csv.reader(text, delimiter=delimiter, strict=True)
        line = 1
        try:
            for fields in lines:
                if any(fields):
                    yield line, fields
                line = lines.line_num + 1
        except UnicodeDecodeError:
            raise _wrong(f"near line {line}: the text is not UTF-8", self._payload) from None
        except (csv.Error, EOFError, gzip.BadGzipFile) as broken:
            raise _wrong(f"line {line}: {broken}", self._payload) from None


class _Summary:
    def __init__(self, max_examples: int) -> None:
        self.read = 0
        self.refused = 0
        self._max_examples = max_examples
        self._reasons: dict[str, dict[str, Any]] = {}

    def sort(self, cleaner: Cleaner, columns: list[str], chunk: Iterable[tuple[int, list[str]]]) -> Iterator[list[str]]:
        """The accepted rows of a chunk; the others are counted."""
        for line, fields in chunk:
            self.read += 1
            row, problems = cleaner.clean(fields)
            if problems:
                self._refuse(line, dict(zip(columns, fields, strict=False)), problems)
            else:
                yield row

    def _refuse(self, line: int, row: dict[str, str], problems: list[Problem]) -> None:
        self.refused += 1
        for problem in problems:
            reason = self._reasons.setdefault(problem.reason, {"reason": problem.reason, "count": 0, "examples": []})
            reason["count"] += 1
            if len(reason["examples"]) < self._max_examples:
                value = row.get(problem.column, "")[:_LONGEST_VALUE]
                example = {"line": line, "column": problem.column, "value": value, "message": problem.message}
                reason["examples"].append(example)

    def result(self) -> dict[str, Any]:
        reasons = sorted(self._reasons.values(), key=lambda reason: (-reason["count"], reason["reason"]))
        counts = {"read": self.read, "accepted": self.read - self.refused, "refused": self.refused}
        return {**counts, "reasons": reasons}


def _header(fields: list[str]) -> list[str]:
    try:
        return column_names(fields)
    except ValueError as wrong:
        raise Error("VALIDATION_ERROR", f"the header of the CSV is invalid: {wrong}", {"header": fields}) from None


def _inside(data_dir: Path, name: str) -> Path:
    """The path of the file, with links resolved.

    Raises:
        Error: VALIDATION_ERROR when it is outside of the folder or not a CSV, NOT_FOUND when it does not exist.
    """
    path = (data_dir / name.replace("\0", "")).resolve()
    if not path.is_relative_to(data_dir.resolve()) or not path.name.endswith(_ENDINGS):
        message = f"must be the path of a {' or '.join(_ENDINGS)} file inside the data folder"
        raise Error("VALIDATION_ERROR", f"path {message}", {"errors": [{"path": "/path", "message": message}]})
    if not path.is_file():
        raise Error("NOT_FOUND", f"the file {name!r} does not exist in the data folder")
    return path


def _wrong(message: str, payload: dict[str, Any]) -> Error:
    pointer = "/path" if "path" in payload else "/csv"
    return Error("VALIDATION_ERROR", message, {"errors": [{"path": pointer, "message": message}]})
