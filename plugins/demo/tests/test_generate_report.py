"""Reports: the files open, their numbers agree, and nobody's files are another's."""

import csv
import gzip
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import jsonschema_rs
import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from streamer import Error, Request
from streamer_demo import report_xlsx
from streamer_demo.generate_report import generate_report
from streamer_demo.payments import FILE_NAME
from streamer_demo.plugin import streamer_handlers

COMPONENT = next(component for component in streamer_handlers() if component.name == "generate_report")


@pytest.fixture
def run(data_dir, tmp_path, request_of):
    def call(payload=None, **fields):
        request = request_of(payload, **fields)
        result = generate_report(request, data_dir=data_dir, output_dir=tmp_path / "reports", records=3000)
        jsonschema_rs.validator_for(COMPONENT.result_schema).validate(result)
        return result

    return call


def text_of(path):
    return "\n".join(page.extract_text() for page in PdfReader(path).pages)


def test_three_files_are_written_and_named_in_the_result(run):
    result = run()
    assert set(result["files"]) == {"csv", "xlsx", "pdf"}
    assert all(Path(path).is_absolute() and Path(path).is_file() for path in result["files"].values())
    assert (result["records"], result["totals"]["currency"]) == (3000, "EUR")
    assert result["period"] == {"group_by": "month", "start": "2024-01-01", "end": "2025-12-31", "count": 24}


def test_the_csv_has_a_row_for_each_period_and_currency(run):
    result = run({"formats": ["csv"]})
    with Path(result["files"]["csv"]).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result["rows"]
    assert sum(int(row["payments"]) for row in rows) == 3000
    euros = next(row for row in rows if row["currency"] == "EUR")
    assert float(euros["gross"]) == pytest.approx(float(euros["net"]) + float(euros["refunded"]))


def test_the_workbook_opens_and_holds_every_payment(run):
    result = run({"formats": ["xlsx"]})
    book = load_workbook(result["files"]["xlsx"])
    assert book.sheetnames == [
        "Summary",
        "Periods",
        "By currency",
        "By method",
        "By country",
        "By status",
        "Periods and currencies",
        "Payments",
    ]
    summary = {row[0].value: row[1].value for row in book["Summary"].iter_rows(min_row=2, max_col=2)}
    assert summary["Payments"] == 3000
    assert summary["Gross"] == pytest.approx(float(result["totals"]["gross"]))
    assert len(book["Summary"]._charts) == 1
    assert book["Periods"].max_row == 25
    assert sum(row[0] for row in book["Periods"].iter_rows(min_row=2, min_col=2, max_col=2, values_only=True)) == 3000
    assert book["Periods and currencies"].max_row == result["rows"] + 1
    first = next(book["Payments"].iter_rows(min_row=2, values_only=True))
    assert (book["Payments"].max_row, first[0], first[4]) == (3001, "pay_000001", "GBP")


def test_payments_beyond_the_rows_of_a_sheet_go_on_the_next(run, monkeypatch):
    monkeypatch.setattr(report_xlsx, "ROWS_PER_SHEET", 2000)
    book = load_workbook(run({"formats": ["xlsx"]})["files"]["xlsx"], read_only=True)
    assert (book["Payments"].max_row, book["Payments 2"].max_row) == (2001, 1001)
    book.close()


def test_the_workbook_can_do_without_the_payments(run):
    book = load_workbook(run({"formats": ["xlsx"], "include_payments": False})["files"]["xlsx"])
    assert "Payments" not in book.sheetnames


@pytest.mark.parametrize("group_by", ["day", "week", "month"])
def test_the_pdf_opens_and_shows_totals_charts_and_every_period(run, group_by):
    result = run({"formats": ["pdf"], "group_by": group_by})
    reader = PdfReader(result["files"]["pdf"])
    first = reader.pages[0].extract_text()
    assert f"{float(result['totals']['gross']):,.2f}" in first
    assert "Net, EUR" in first
    assert ("each bar is 7 periods" in first) == (group_by == "day")
    # Rectangles: of the two parts of each bar, a few have no height and are left out.
    assert reader.pages[0].get_contents().get_data().count(b" re") > 1.8 * min(result["period"]["count"], 105)
    text = text_of(result["files"]["pdf"])
    assert "By currency, each in its own" in text
    last = {"day": "2025-12-31", "week": "2026-W01", "month": "2025-12"}[group_by]
    assert last in text


def test_one_currency_and_some_days_only(run):
    result = run({"currency": "JPY", "start_date": "2025-01-01", "end_date": "2025-06-30"})
    assert result["totals"]["currency"] == "JPY"
    assert "." not in result["totals"]["gross"]
    assert result["period"]["start"] >= "2025-01-01"
    assert result["period"]["end"] <= "2025-06-30"
    assert result["records"] == result["totals"]["payments"] < 200
    text = text_of(result["files"]["pdf"])
    assert "converted" not in text
    assert "By currency, each in its own" not in text


def test_a_report_of_no_payments_is_a_report(run):
    result = run({"start_date": "2030-01-01"})
    assert (result["records"], result["rows"], result["period"]["start"]) == (0, 0, None)
    assert result["totals"]["average"] == "0.00"
    assert "No payments in this period." in text_of(result["files"]["pdf"])
    assert load_workbook(result["files"]["xlsx"])["Summary"]["B2"].value == "no payments"


def test_a_report_of_failed_payments_only_has_an_empty_chart(data_dir, run):
    path = data_dir / FILE_NAME
    lines = gzip.decompress(path.read_bytes()).splitlines(keepends=True)
    path.write_bytes(gzip.compress(b"".join([lines[0], *(line for line in lines if b",failed," in line)])))
    result = run({"formats": ["pdf", "xlsx"]})
    assert result["totals"]["gross"] == "0.00"
    assert "100.0%" in text_of(result["files"]["pdf"])


def test_an_end_before_the_start_is_refused_with_its_place(run):
    with pytest.raises(Error) as caught:
        run({"start_date": "2025-02-01", "end_date": "2025-01-31"})
    assert caught.value.code == "VALIDATION_ERROR"
    assert caught.value.details["errors"][0]["path"] == "/end_date"


def test_two_requests_never_write_the_same_file(run):
    written = [run({"formats": ["csv"]}, id=request_id, owner=owner) for request_id in "ab" for owner in ("x", "y")]
    assert len({result["files"]["csv"] for result in written}) == 4


def test_a_run_that_is_repeated_replaces_its_own_files_by_the_same_ones(run, tmp_path):
    first = {path: Path(path).read_bytes() for path in run()["files"].values()}
    again = {path: Path(path).read_bytes() for path in run(attempt=2)["files"].values()}
    assert first == again
    assert len(list((tmp_path / "reports").rglob("*.*"))) == 3


def test_what_a_killed_run_left_behind_is_removed_by_the_next(run):
    path = Path(run({"formats": ["csv"]})["files"]["csv"])
    left = path.parent / ".payments-by-month-abc.csv"
    left.write_text("half")
    run({"formats": ["csv"]}, attempt=2)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_progress_rises_from_0_to_100_through_every_step(run, recorder):
    run()
    assert recorder.percentages == sorted(recorder.percentages)
    assert (recorder.percentages[0], recorder.percentages[-1]) == (0, 100)
    messages = " ".join(message for _, message, _ in recorder.reports)
    for step in ("Looking", "Reading", "CSV", "XLSX", "XLSX: payments", "PDF", "written"):
        assert step in messages


def test_the_payments_are_made_when_they_are_missing(tmp_path, request_of):
    folder = tmp_path / "new"
    request = request_of({"formats": ["csv"]})
    result = generate_report(request, data_dir=folder, output_dir=tmp_path / "reports", records=50)
    assert result["records"] == 50


def test_it_runs_in_a_process_of_its_own(data_dir, tmp_path):
    request = Request(id="r", action="a", payload={"formats": ["csv"]})
    options = {"data_dir": data_dir, "output_dir": tmp_path / "reports", "records": 3000}
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        result = pool.submit(generate_report, request, **options).result()
    assert json.loads(json.dumps(result)) == result
    assert Path(result["files"]["csv"]).is_file()
