"""Cleaning a CSV: what comes out, what is refused, and which files may be read."""

import asyncio
import contextlib
import csv
import gzip
import threading
from pathlib import Path

import pytest

from streamer import Error, Request
from streamer.core.messages import Reporter
from streamer.handlers.threads import ThreadPool
from streamer_demo.process_data import process_data

HEADER = "id,email,created_at,amount,currency,note\n"
GOOD = "{},a@example.com,2024-03-01,12.50,EUR,hello\n"
OPTIONS = {"chunk_size": 2, "max_rows": 1000, "max_examples": 2}


@pytest.fixture
def run(data_dir, tmp_path, request_of):
    def call(payload, **options):
        folders = {"data_dir": data_dir, "output_dir": tmp_path / "out"}
        return process_data(request_of(payload), **folders, **{**OPTIONS, **options})

    return call


def rows_of(result):
    with Path(result["file"]).open(newline="") as file:
        return list(csv.DictReader(file))


def test_good_rows_are_written_and_others_counted_with_line_and_reason(run):
    text = HEADER + GOOD.format(1) + GOOD.format(1) + "2,nobody,x,1.00,EUR,\n" + GOOD.format(3)
    result = run({"csv": text})
    assert (result["read"], result["accepted"], result["refused"]) == (4, 2, 2)
    assert [row["id"] for row in rows_of(result)] == ["1", "3"]
    assert {reason["reason"]: reason["count"] for reason in result["reasons"]} == {
        "duplicate_id": 1,
        "bad_email": 1,
        "bad_date": 1,
    }
    email = next(reason for reason in result["reasons"] if reason["reason"] == "bad_email")
    assert email["examples"] == [
        {"line": 4, "column": "email", "value": "nobody", "message": "'nobody' is not an e-mail address"}
    ]


def test_reasons_come_most_frequent_first_with_a_few_examples(run):
    text = HEADER + "".join(f"{number},x,2024-03-01,1,EUR,\n" for number in range(5)) + "9,a@b.de,x,1,EUR,\n"
    result = run({"csv": text})
    assert [(reason["reason"], reason["count"], len(reason["examples"])) for reason in result["reasons"]] == [
        ("bad_email", 5, 2),
        ("bad_date", 1, 1),
    ]


def test_lines_are_counted_over_blank_ones_and_quoted_breaks(run):
    text = HEADER + '1,a@example.com,2024-03-01,1,EUR,"two\nlines"\n\n,,,,,\n2,x,2024-03-01,1,EUR,\n'
    result = run({"csv": text})
    assert result["read"] == 2
    assert result["reasons"][0]["examples"][0]["line"] == 6
    assert rows_of(result)[0]["note"] == "two lines"


def test_a_long_value_is_cut_in_the_examples(run):
    result = run({"csv": HEADER + f"1,{'x' * 5000},2024-03-01,1,EUR,\n"})
    example = result["reasons"][0]["examples"][0]
    assert len(example["value"]) == 60
    assert len(example["message"]) < 100


def test_separators_of_other_countries(run):
    result = run(
        {"csv": HEADER.replace(",", ";") + "1;a@b.de;1.3.2024;1.234,50;EUR;\n", "delimiter": ";", "decimal": ","}
    )
    assert rows_of(result)[0]["amount"] == "1234.50"


def test_the_payments_themselves_are_clean(run):
    result = run({"path": "payments.csv.gz"}, max_rows=3000, chunk_size=500)
    assert (result["read"], result["accepted"]) == (3000, 3000)
    assert len(rows_of(result)) == 3000
    assert "method" in result["columns"]


def test_progress_follows_the_chunks(run, recorder):
    run({"csv": HEADER + "".join(GOOD.format(number) for number in range(5))})
    assert [metadata["rows"] for _, _, metadata in recorder.reports] == [2, 4, 5]
    assert recorder.percentages == sorted(recorder.percentages)
    assert recorder.percentages[-1] == 100


def test_progress_of_a_file_follows_what_was_read(run, recorder):
    run({"path": "payments.csv.gz"}, max_rows=3000, chunk_size=100)
    assert recorder.percentages == sorted(recorder.percentages)
    assert recorder.percentages[0] < 100 == recorder.percentages[-1]


def test_a_header_alone_gives_an_empty_file(run):
    result = run({"csv": HEADER})
    assert (result["read"], rows_of(result)) == (0, [])


def test_a_byte_order_mark_is_no_part_of_a_name(run, data_dir):
    (data_dir / "excel.csv").write_text(HEADER + GOOD.format(1), encoding="utf-8-sig")
    assert run({"path": "excel.csv"})["columns"][0] == "id"


@pytest.mark.parametrize("text", ["id,amount\n1,2\n", "\n", HEADER.replace("note", "id")])
def test_a_wrong_header_is_refused_before_anything_is_written(run, tmp_path, text):
    with pytest.raises(Error, match="the header of the CSV is invalid") as caught:
        run({"csv": text})
    assert caught.value.code == "VALIDATION_ERROR"
    assert not list((tmp_path / "out").rglob("*.csv"))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (HEADER.encode() + b"1,\xff\xfe,2024-03-01,1,EUR,\n", "near line 1: the text is not UTF-8"),
        (HEADER.encode() + b'1,"open', "line 2: unexpected end of data"),
        (HEADER.encode() + b"1," + b"x" * 200_000, "line 2: field larger than field limit"),
    ],
)
def test_a_file_that_is_no_csv_is_refused_with_its_line(run, data_dir, tmp_path, content, complaint):
    (data_dir / "bad.csv").write_bytes(content)
    with pytest.raises(Error, match=complaint) as caught:
        run({"path": "bad.csv"})
    assert caught.value.details["errors"][0]["path"] == "/path"
    assert not list((tmp_path / "out").rglob("*.csv"))


def test_a_gzip_file_that_is_cut_or_false_is_refused(run, data_dir):
    packed = gzip.compress((HEADER + GOOD.format(1)).encode())
    for name, content in (("cut.csv.gz", packed[:-9]), ("false.csv.gz", b"plain text")):
        (data_dir / name).write_bytes(content)
        with pytest.raises(Error) as caught:
            run({"path": name})
        assert caught.value.code == "VALIDATION_ERROR"


def test_unfinished_text_is_told_at_its_place(run):
    with pytest.raises(Error) as caught:
        run({"csv": HEADER + '1,"open'})
    assert caught.value.details["errors"][0]["path"] == "/csv"


@pytest.mark.parametrize(
    "path", ["../secret.csv", "/etc/passwd.csv", "link.csv", "a/../../secret.csv", "payments", "\0.."]
)
def test_no_file_outside_of_the_data_folder_is_read(run, data_dir, path):
    secret = data_dir.parent / "secret.csv"
    secret.write_text(HEADER + GOOD.format(1))
    (data_dir / "link.csv").symlink_to(secret)
    with pytest.raises(Error) as caught:
        run({"path": path})
    assert caught.value.code == "VALIDATION_ERROR"
    assert caught.value.details["errors"][0]["path"] == "/path"


def test_a_file_that_is_not_there_is_not_found(run, data_dir):
    (data_dir / "folder.csv").mkdir()
    for name in ("none.csv", "folder.csv", "a\0.csv"):
        with pytest.raises(Error) as caught:
            run({"path": name})
        assert caught.value.code == "NOT_FOUND"


def test_a_file_with_too_many_rows_is_refused_and_leaves_nothing(run, tmp_path):
    with pytest.raises(Error, match="more than 3 rows") as caught:
        run({"csv": HEADER + "".join(GOOD.format(number) for number in range(4))}, max_rows=3)
    assert caught.value.code == "TOO_LARGE"
    assert not list((tmp_path / "out").rglob("*.csv"))


def test_a_run_that_nobody_waits_for_stops_and_leaves_nothing(data_dir, tmp_path):
    async def cancel_at_the_first_report():
        pool, loop, started = ThreadPool(1), asyncio.get_running_loop(), asyncio.Event()
        reported = []

        class Watching(Reporter):
            def report(self, percentage, message="", **metadata):
                reported.append(percentage)
                loop.call_soon_threadsafe(started.set)
                go_on.wait(30)

        go_on = threading.Event()
        request = Request(id="r", action="a", payload={"path": "payments.csv.gz"}, progress=Watching())
        folders = {"data_dir": data_dir, "output_dir": tmp_path / "out"}
        limits = {"chunk_size": 1, "max_rows": 3000, "max_examples": 1}
        run = asyncio.ensure_future(pool.run(process_data, request, **folders, **limits))
        await started.wait()
        run.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await run
        go_on.set()
        await pool.close()
        return reported

    assert len(asyncio.run(cancel_at_the_first_report())) == 1
    assert not list((tmp_path / "out").rglob("*.csv"))
