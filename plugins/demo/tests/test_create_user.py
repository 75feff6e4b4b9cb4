"""Users: stored once, each e-mail address once."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from streamer import Error
from streamer_demo.create_user import create_user

ADA = {"name": "Ada Lovelace", "email": "ada@example.com"}


@pytest.fixture
def create(tmp_path, request_of):
    return lambda payload, **fields: create_user(request_of(payload, **fields), data_dir=tmp_path / "data")


def test_a_user_comes_back_with_id_and_time(create):
    assert create({**ADA, "country": "GB"}) == {
        "id": "usr_000001",
        "name": "Ada Lovelace",
        "email": "ada@example.com",
        "country": "GB",
        "created_at": "2025-01-01T00:00:00.000Z",
    }


def test_names_and_addresses_are_put_in_one_form(create):
    user = create({"name": "  Zoe\u0308   Doe ", "email": "Zoe@Example.COM"})
    assert (user["name"], user["email"], user["country"]) == ("Zo\u00eb Doe", "zoe@example.com", None)


def test_an_address_that_is_taken_is_a_conflict(create):
    create(ADA)
    with pytest.raises(Error) as caught:
        create({"name": "Another", "email": "ADA@example.com"}, id="another")
    assert (caught.value.code, caught.value.details) == ("CONFLICT", {"email": "ada@example.com"})
    assert create({"name": "Ben", "email": "ben@example.com"}, id="third")["name"] == "Ben"


def test_the_same_request_again_finds_the_user_that_it_made(create):
    assert create(ADA) == create(ADA, attempt=2)
    with pytest.raises(Error):
        create(ADA, owner="client:b")


def test_a_name_of_spaces_is_refused(create):
    with pytest.raises(Error) as caught:
        create({"name": " \t ", "email": "a@example.com"})
    assert caught.value.code == "VALIDATION_ERROR"


def test_of_many_at_the_same_time_one_gets_the_address(create):
    def attempt(number):
        try:
            return create(ADA, id=f"req-{number}")["id"]
        except Error as refused:
            return refused.code

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(8)))
    assert sorted(outcomes) == ["CONFLICT"] * 7 + ["usr_000001"]
