import pickle
import re
from pathlib import Path

import pytest

from streamer.client import ConnectionFailed, ConnectionLost, InternalError, RequestFailed
from streamer.client.advice import on_close, on_refusal
from streamer.client.errors import _BY_CODE, request_failed
from streamer.client.machine import Options, Phase, State, events, next_state
from streamer.client.machine.state import final_close
from streamer.core.errors import CODES, StreamerError
from streamer.transports.close_codes import SENT


def test_every_code_of_the_service_has_its_own_exception():
    assert set(_BY_CODE) == CODES
    assert len(set(_BY_CODE.values())) == len(CODES)


@pytest.mark.parametrize("code", sorted(CODES))
def test_an_exception_names_the_code_it_stands_for(code):
    assert _BY_CODE[code].__doc__.startswith(f"{code}: ")


def test_a_handlers_own_code_is_a_request_failed():
    error = request_failed({"code": "DISK_FULL", "message": "no room"}, "r")
    assert type(error) is RequestFailed
    assert isinstance(error, StreamerError)
    assert str(error) == "DISK_FULL: no room"


@pytest.mark.parametrize("body", ["broken", 5, None, ["x"]])
def test_an_error_of_no_known_shape_is_an_internal_error_that_shows_it(body):
    error = request_failed(body, "r")
    assert isinstance(error, InternalError)
    assert error.details == ({} if body is None else {"error": body})


def test_missing_and_odd_fields_become_neutral_ones():
    error = request_failed({"details": 5, "retryable": "yes"}, None)
    assert (error.code, error.details, error.retryable) == ("INTERNAL_ERROR", {}, False)
    assert (error.violations, error.retry_after) == ([], None)


def test_every_violation_is_kept_and_shown_below_a_traceback():
    errors = [{"path": "", "message": "odd"}, {"path": "/a", "message": "bad"}]
    error = request_failed({"code": "VALIDATION_ERROR", "message": "m", "details": {"errors": errors}}, "r")
    assert str(error) == "VALIDATION_ERROR: m"
    assert error.violations == errors
    assert error.__notes__ == ["the payload: odd", "/a: bad"]


@pytest.mark.parametrize(
    "error",
    [
        ConnectionFailed("ws://h/ws", "refused", status=401, advice="give a token"),
        ConnectionFailed("ws://h/ws", "rubbish", reconnect=False),
        ConnectionLost("ws://h/ws", 3001, "bye", request_id="r"),
        *(
            request_failed(
                {
                    "code": code,
                    "message": "m",
                    "retryable": True,
                    "details": {"errors": [{"path": "/a", "message": "b"}]},
                },
                "r",
                {"half": "a result"},
            )
            for code in [*sorted(CODES), "A_HANDLERS_OWN"]
        ),
    ],
    ids=lambda error: str(error)[:24],
)
def test_an_error_comes_out_of_a_pool_of_processes_as_it_went_in(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("code", [1003, 1007, 1008, 1009, 3500, 3501, 3999])
def test_a_close_that_forbids_the_next_connection_says_what_to_do(code):
    error = ConnectionLost("ws://h/ws", code, "words", request_id="r")
    assert not error.reconnect
    assert len(on_close(code)) > 20
    assert on_close(code) in str(error)


@pytest.mark.parametrize("code", [1000, 1001, 1006, 1011, 1013, 3001, 3008, 3499, 4000])
def test_a_close_that_leaves_hope_has_no_advice(code):
    error = ConnectionLost("ws://h/ws", code)
    assert error.reconnect
    assert str(error) == f"The connection to ws://h/ws ended ({code})"


@pytest.mark.parametrize(
    ("status", "final"), [(400, True), (401, True), (403, True), (404, True), (429, False), (503, False), (None, False)]
)
def test_the_status_of_a_refusal_says_whether_to_try_again(status, final):
    error = ConnectionFailed("ws://h/ws", "why", status=status)
    assert error.reconnect is not final
    assert bool(on_refusal(status, token=False, renewable=False)) is final


@pytest.mark.parametrize(
    ("code", "welcome"), [(1001, True), (1006, True), (1013, True), (3001, True), (1009, False), (3500, False)]
)
def test_the_close_code_says_whether_to_connect_again(code, welcome):
    assert ConnectionLost("ws://h/ws", code).reconnect is welcome


REACTIONS = {
    "reconnect": (False, True),
    "give up": (True, False),
    "reconnect, without that request, which fails": (True, True),
    "reconnect once with a new token, or give up": (True, False),
}
"""By the words of the page: whether the code is final for the request, and whether a client without a token function
connects again.
"""


def documented():
    """Each close code of the page, and what it says that both clients do."""
    page = (Path(__file__).parents[3] / "docs/reference/messages.md").read_text()
    table = page.partition("| code | reason | both clients |\n| --- | --- | --- |\n")[2].partition("\n\n")[0]
    for line in table.splitlines():
        codes, _reason, reaction = line.strip("| ").split(" | ")
        for code in re.findall(r"\d{4}", codes):
            yield int(code), reaction


def test_the_page_is_read():
    assert len(list(documented())) >= len(SENT) - 1


@pytest.mark.parametrize(("code", "reaction"), list(documented()))
def test_the_client_reacts_to_each_close_code_as_the_page_says(code, reaction):
    final, connects_again = REACTIONS[reaction]
    assert final_close(code) is final
    assert ConnectionLost("ws://h/ws", code).reconnect is not final
    state = State(options=Options())
    for event in (events.Submitted("small"), events.Submitted("large")):
        state, _ = next_state(state, event)
    state, _ = next_state(state, events.Due(state.epoch))
    state, _ = next_state(state, events.Opened(state.epoch))
    state, _ = next_state(state, events.Ended(state.epoch, code))
    assert state.phase is (Phase.WAITING if connects_again else Phase.CLOSED)
