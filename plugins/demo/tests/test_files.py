"""Files are whole or not there; folders belong to one request."""

import pytest

from streamer_demo.files import request_folder, request_key, whole_file


def test_a_file_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "report.csv"
    with whole_file(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert [entry.name for entry in path.parent.iterdir()] == ["report.csv"]


def test_a_failure_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "report.csv"
    path.write_text("old")

    def fail():
        with whole_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.csv"]


def test_others_may_read_the_file(tmp_path):
    with whole_file(tmp_path / "report.csv") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "report.csv").stat().st_mode & 0o777 == 0o644


def test_two_owners_with_the_same_id_do_not_share_a_folder(tmp_path, request_of):
    mine, theirs = request_of(owner="client:a"), request_of(owner="client:b")
    assert request_folder(tmp_path, mine) != request_folder(tmp_path, theirs)
    assert request_folder(tmp_path, mine) == request_folder(tmp_path, request_of(owner="client:a", attempt=2))
    assert request_key(mine) != request_key(request_of(action="other"))


@pytest.mark.parametrize("request_id", ["../../etc/passwd", "a/b", "..", "ü" * 128, "x" * 128, "a\\b c", "-"])
def test_an_id_cannot_leave_the_folder_or_make_a_name_too_long(tmp_path, request_of, request_id):
    folder = request_folder(tmp_path, request_of(id=request_id))
    assert folder.parent == tmp_path
    assert folder.resolve() == folder
    folder.mkdir()
