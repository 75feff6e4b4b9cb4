"""What the tests share: requests, a reporter that remembers, and a small set of payments."""

import shutil

import pytest

from streamer import Request
from streamer.core.messages import Reporter
from streamer_demo.generator import ensure_payments

RECORDS = 3000


class Recorder(Reporter):
    """Remembers what was reported."""

    __slots__ = ("reports",)

    def __init__(self):
        self.reports = []

    def report(self, percentage, message="", **metadata):
        self.reports.append((percentage, message, metadata))

    @property
    def percentages(self):
        return [percentage for percentage, _, _ in self.reports]


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def request_of(recorder):
    """Makes a request with a payload; its id and owner are the same unless they are given."""

    def make(payload=None, **fields):
        given = {"id": "req-1", "action": "test", "owner": "client:a", "created_at": 1_735_689_600.0, **fields}
        return Request(payload=payload, progress=recorder, **given)

    return make


@pytest.fixture(scope="session")
def payments_file(tmp_path_factory):
    return ensure_payments(tmp_path_factory.mktemp("payments"), RECORDS)


@pytest.fixture
def data_dir(tmp_path, payments_file):
    """A data folder of the test's own with 3,000 payments."""
    folder = tmp_path / "data"
    folder.mkdir()
    shutil.copy(payments_file, folder)
    return folder
