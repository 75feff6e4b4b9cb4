"""Decides what a connection sends, and when: first the requests that may have ended the last one, one by one, then the
others.

Each of the first is sent after the previous one was answered, and the others after them, so that the next end of a
connection identifies its cause.
"""

from __future__ import annotations

from msgspec.structs import replace

from streamer.client.machine import effects
from streamer.client.machine.blame import in_order
from streamer.client.machine.effects import Effect
from streamer.client.machine.state import TURN, Interest, Request, State


def send_all(state: State, out: list[Effect]) -> State:
    """Sends waiting requests over a new connection, in the order in which they were submitted."""
    for request in in_order(state):
        if request.interest is not Interest.AWAITED:
            state = forget(state, request, out)
    waiting = in_order(state)
    # The request that was sent just before the connection ended is the likeliest cause. A stored one stays in progress
    # after its turn and would be suspected again, so those that end with their answer come first.
    suspects = [request for request in waiting if request.suspect]
    suspects.sort(key=lambda request: (request.id != state.suspect, request.stored))
    line = [*suspects, *(request for request in waiting if not request.suspect)]
    return advance(replace(state, line=tuple(request.id for request in line)), out)


def advance(state: State, out: list[Effect]) -> State:
    """Sends the queue up to the first request that must be sent alone, and that one."""
    place = 0
    state = replace(state, suspect=None, awaited=None)
    while place < len(state.line):
        request = state.requests.get(state.line[place])
        place += 1
        if request is None or request.sent:
            continue
        if request.interest is not Interest.AWAITED:
            state = forget(state, request, out)
            continue
        state = send(state, request, out)
        if request.suspect:
            out.append(effects.Turn(state.epoch, request.id, TURN))
            awaited = question_id(state) if request.stored else request.id
            return replace(state, line=state.line[place:], suspect=request.id, awaited=awaited)
    return replace(state, line=())


def turn_over(state: State, out: list[Effect]) -> State:
    """The request that was sent alone was answered, or the others have waited long enough."""
    assert state.suspect is not None
    request = state.requests.get(state.suspect)
    if request is not None:
        state = replace(state, requests=state.requests.put(request.id, replace(request, suspect=False)))
    return advance(state, out)


def was_answered(state: State) -> bool:
    """Whether the queue no longer waits for anything."""
    assert state.awaited is not None
    request = state.requests.get(state.awaited)
    return request is None or request.stored or request.interest is not Interest.AWAITED


def send(state: State, request: Request, out: list[Effect]) -> State:
    """Sends a request, for the first time or again; resumes one that the service has stored."""
    sent = replace(request, sent=True, unanswered=True, sends=request.sends + 1)
    requests = state.requests.put(sent.id, sent)
    if not sent.stored:
        out.append(effects.Send(sent.id))
        return replace(state, requests=requests)
    state = replace(state, asked=state.asked + 1)
    # Not sent again: the next connection resumes it with the newer seq.
    question = Request(question_id(state), state.added, resend=False, about=sent.id, sends=1, sent=True)
    out.append(effects.Ask(sent.id, question.id, sent.seq))
    return replace(state, added=state.added + 1, requests=requests.put(question.id, question))


def question_id(state: State) -> str:
    """Of the newest resume message."""
    return f"{state.options.name}-{state.asked}"


def forget(state: State, request: Request, out: list[Effect]) -> State:
    """No caller waits for the request any longer, and nothing must be done for it here."""
    out.append(effects.Forget(request.id, request.stored or request.sends > 0))
    return replace(state, requests=state.requests.without(request.id))
