"""Tokens to principals, without a task where that is possible."""

import asyncio

import pytest

from streamer.contracts.auth import Authenticator
from streamer.core.errors import FORBIDDEN, UNAUTHORIZED, Error
from streamer.core.principal import Principal
from streamer.testing import RecordingLogger
from streamer.transports.admission import Admission
from streamer.transports.credentials import BROKEN, TOO_SLOW

ALICE = Principal(user_id="alice")


class Scripted(Authenticator):
    """An `Authenticator` whose result is named by the token."""

    def __init__(self, immediate):
        self.immediate = immediate
        self.asked = []

    async def authenticate(self, token):
        self.asked.append(token)
        if token.startswith("wait "):
            await asyncio.sleep(0)
            token = token.removeprefix("wait ")
        if token == "for ever":
            await asyncio.get_running_loop().create_future()
        if token == "bad":
            raise Error(UNAUTHORIZED, "bad token")
        if token == "foreign":
            raise Error(FORBIDDEN, "not here")
        if token == "bug":
            raise RuntimeError("a bug")
        return None if token == "nobody" else ALICE


@pytest.fixture
def log():
    return RecordingLogger()


def admission(log, *, immediate=True, timeout=30.0):
    authenticator = Scripted(immediate)
    return Admission(authenticator, timeout, log), authenticator


@pytest.mark.parametrize(("token", "status"), [("bad", 401), ("foreign", 403)])
async def test_what_needs_no_wait_is_known_at_once(log, token, status):
    made, _ = admission(log)
    assert made.begin("good") is ALICE
    assert made.begin(token).status == status
    assert [level for level, _, _ in log.lines] == ["debug"]


@pytest.mark.parametrize("immediate", [True, False])
@pytest.mark.parametrize(("token", "status"), [("wait good", None), ("wait bad", 401), ("wait foreign", 403)])
async def test_what_waits_is_finished_in_a_task(log, immediate, token, status):
    made, _ = admission(log, immediate=immediate)
    decided = await made.finish(made.begin(token))
    assert decided is ALICE if status is None else decided.status == status


async def test_an_authenticator_that_needs_a_task_begins_only_in_one(log):
    made, authenticator = admission(log, immediate=False)
    begun = made.begin("good")
    assert authenticator.asked == []
    assert await made.finish(begun) is ALICE


async def test_one_that_breaks_is_in_the_log_and_lets_nobody_in(log):
    made, _ = admission(log)
    assert made.begin("bug") is BROKEN
    assert await made.finish(made.begin("wait bug")) is BROKEN
    assert [(level, event) for level, event, _ in log.lines] == [("error", "the authenticator broke")] * 2


async def test_nobody_is_let_in_as_nobody(log):
    made, _ = admission(log)
    assert made.begin("nobody") is BROKEN
    assert await made.finish(made.begin("wait nobody")) is BROKEN
    assert log.lines == [("error", "the authenticator returned no principal", {"returned": "NoneType"})] * 2


async def test_one_that_takes_too_long_is_not_waited_for(log):
    made, _ = admission(log, timeout=0.01)
    assert await made.finish(made.begin("wait for ever")) is TOO_SLOW
