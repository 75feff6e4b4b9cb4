"""Where keys come from: a file that changes, and a set elsewhere that rotates, fails and comes back."""

import asyncio
import json

import pytest

from streamer.auth.keys import KeyProblem, from_jwks, from_pem
from streamer.auth.options import ALGORITHMS
from streamer.auth.sources import FetchedKeys, FileKeys, KeySet, OneKey
from streamer.auth.token import Header
from streamer.core.errors import OVERLOADED, Error
from streamer.testing.clock import settle


def test_one_key_is_found_by_its_algorithm_whatever_the_token_calls_it(ring):
    source = OneKey(from_pem(ring.pem("ES256")))
    assert len(source.find(Header("ES256", "any"))) == 1
    assert source.find(Header("RS256", None)) == []


async def test_one_key_has_no_others_to_look_for(ring):
    await OneKey(from_pem(ring.pem("ES256"))).look_again()


def test_a_set_is_searched_by_name_and_algorithm(ring):
    keys = KeySet(from_jwks(ring.jwks("RS256", "ES256", "EdDSA")), ("RS256", "ES256"))
    assert len(keys) == 2
    assert [key.kid for key in keys.find(Header("RS256", "RS256"))] == ["RS256"]
    assert [key.kid for key in keys.find(Header("RS256", None))] == ["RS256"]
    assert keys.find(Header("RS256", "ES256")) == []
    assert keys.find(Header("EdDSA", "EdDSA")) == []


def test_keys_that_share_a_name_are_all_found(ring, other_ring):
    listed = {"keys": [ring.jwk("ES256", kid="k"), other_ring.jwk("ES256", kid="k"), ring.jwk("RS256", kid="k")]}
    keys = KeySet(from_jwks(json.dumps(listed).encode()), ALGORITHMS)
    assert len(keys.find(Header("ES256", "k"))) == 2
    assert len(keys.find(Header("RS256", "k"))) == 1


# A file


@pytest.fixture
def file_keys(tmp_path, ring, clock, log):
    (tmp_path / "jwks.json").write_bytes(ring.jwks("RS256"))
    return FileKeys(tmp_path / "jwks.json", ALGORITHMS, clock=clock, logger=log)


def replace(path, content):
    """As tools do it: the file is whole at every moment."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path)


async def test_a_file_is_read_again_when_it_has_changed(file_keys, tmp_path, ring, clock, log):
    header = Header("EdDSA", "EdDSA")
    assert file_keys.find(header) == []
    replace(tmp_path / "jwks.json", ring.jwks("RS256", "EdDSA"))
    await clock.advance(1)
    assert len(file_keys.find(header)) == 1
    await file_keys.look_again()
    assert log.lines == [("info", "keys read again", {"file": str(tmp_path / "jwks.json"), "keys": 2})]


async def test_a_file_is_looked_at_once_a_second_at_most(file_keys, tmp_path, ring, clock):
    replace(tmp_path / "jwks.json", ring.jwks("EdDSA"))
    assert file_keys.find(Header("EdDSA", "EdDSA")) == []
    await clock.advance(0.9)
    assert file_keys.find(Header("EdDSA", "EdDSA")) == []


@pytest.mark.parametrize("content", [b"", b'{"keys": []}', None])
async def test_a_file_that_turns_bad_leaves_the_keys_as_they_were(file_keys, tmp_path, content, ring, clock, log):
    path = tmp_path / "jwks.json"
    if content is None:
        path.unlink()
    else:
        replace(path, content)
    await clock.advance(1)
    assert len(file_keys.find(Header("RS256", "RS256"))) == 1
    await clock.advance(1)
    file_keys.find(Header("RS256", "RS256"))
    ((level, event, more),) = log.lines
    assert (level, event) == ("error", "cannot use the file of keys; keeping the current keys")
    assert more["keys"] == 1
    replace(path, ring.jwks("ES256"))
    await clock.advance(1)
    assert file_keys.find(Header("RS256", "RS256")) == []


def test_a_file_that_is_bad_from_the_start_is_told(tmp_path, clock, log):
    path = tmp_path / "jwks.json"
    with pytest.raises(FileNotFoundError):
        FileKeys(path, ALGORITHMS, clock=clock, logger=log)
    path.write_text("{}")
    with pytest.raises(KeyProblem):
        FileKeys(path, ALGORITHMS, clock=clock, logger=log)


# Elsewhere


class Elsewhere:
    """Answers a fetch when the test says so."""

    def __init__(self):
        self.asked = []

    async def fetch(self):
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]

    async def answer(self, content):
        if isinstance(content, BaseException):
            self.asked[-1].set_exception(content)
        else:
            self.asked[-1].set_result(content)
        await settle()


@pytest.fixture
def elsewhere():
    return Elsewhere()


@pytest.fixture
async def fetched(elsewhere, clock, log):
    source = FetchedKeys(elsewhere.fetch, ALGORITHMS, refresh=600, cooldown=30, clock=clock, logger=log)
    running = asyncio.create_task(source.run())
    await settle()
    yield source
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


KNOWN = Header("RS256", "RS256")
NEW = Header("ES256", "ES256")


async def test_keys_are_fetched_at_once_and_then_on_schedule(fetched, elsewhere, ring, clock):
    assert len(elsewhere.asked) == 1
    await elsewhere.answer(ring.jwks("RS256"))
    assert len(fetched.find(KNOWN)) == 1
    await clock.advance(599)
    assert len(elsewhere.asked) == 1
    await clock.advance(1)
    assert len(elsewhere.asked) == 2
    assert len(fetched.find(KNOWN)) == 1
    await elsewhere.answer(ring.jwks("ES256"))
    assert fetched.find(KNOWN) == []
    assert len(fetched.find(NEW)) == 1


async def test_many_that_meet_an_unknown_key_wait_for_one_fetch(fetched, elsewhere, ring, clock):
    await elsewhere.answer(ring.jwks("RS256"))
    await clock.advance(30)
    waiting = [asyncio.create_task(fetched.look_again()) for _ in range(100)]
    await settle()
    assert len(elsewhere.asked) == 2
    await elsewhere.answer(ring.jwks("RS256", "ES256"))
    await asyncio.gather(*waiting)
    assert len(fetched.find(NEW)) == 1


async def test_unknown_keys_make_a_fetch_only_so_often(fetched, elsewhere, ring, clock):
    await elsewhere.answer(ring.jwks("RS256"))
    for _ in range(100):
        await fetched.look_again()
    await clock.advance(29)
    await fetched.look_again()
    assert len(elsewhere.asked) == 1
    await clock.advance(1)
    waiting = asyncio.create_task(fetched.look_again())
    await settle()
    assert len(elsewhere.asked) == 2
    await elsewhere.answer(ring.jwks("RS256"))
    await waiting
    await fetched.look_again()
    assert len(elsewhere.asked) == 2


async def test_one_that_goes_away_does_not_take_the_fetch_along(fetched, elsewhere, ring):
    waiting = asyncio.create_task(fetched.look_again())
    await settle()
    waiting.cancel()
    await settle()
    await elsewhere.answer(ring.jwks("RS256"))
    assert len(fetched.find(KNOWN)) == 1


@pytest.mark.parametrize(
    "answer", [OSError("no route"), b"<html>", b'{"keys": []}', TimeoutError(), EOFError("cut"), RuntimeError("a bug")]
)
async def test_the_last_good_keys_stay_when_a_fetch_fails(fetched, elsewhere, ring, clock, log, answer):
    await elsewhere.answer(ring.jwks("RS256"))
    await clock.advance(600)
    await elsewhere.answer(answer)
    assert len(fetched.find(KNOWN)) == 1
    assert [(level, event, more["outcome"], more["keys"]) for level, event, more in log.lines] == [
        ("error", "keys could not be fetched", "keeping the current keys", 1)
    ]
    # And it is tried again soon.
    await clock.advance(1)
    await elsewhere.answer(ring.jwks("ES256"))
    assert len(fetched.find(NEW)) == 1


async def test_attempts_after_failures_become_rarer_up_to_the_schedule(fetched, elsewhere, clock):
    waits = []
    for _ in range(13):
        await elsewhere.answer(OSError("down"))
        asked, before = len(elsewhere.asked), clock.monotonic()
        while len(elsewhere.asked) == asked:
            # In steps that meet each power of two up to 512, and 600.
            waited = clock.monotonic() - before
            await clock.advance(8 if waited >= 512 else max(1, waited))
        waits.append(clock.monotonic() - before)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600]


async def test_without_any_keys_nobody_is_called_a_liar(fetched, elsewhere, log):
    waiting = asyncio.create_task(fetched.look_again())
    await settle()
    await elsewhere.answer(OSError("down"))
    for attempt in (waiting, fetched.look_again()):
        with pytest.raises(Error) as caught:
            await attempt
        assert caught.value.code == OVERLOADED
    assert log.lines[0][2]["outcome"] == "no client can connect"


async def test_a_fetch_under_way_ends_with_the_source(elsewhere, clock, log):
    source = FetchedKeys(elsewhere.fetch, ALGORITHMS, refresh=600, cooldown=30, clock=clock, logger=log)
    running = asyncio.create_task(source.run())
    await settle()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert elsewhere.asked[0].cancelled()
