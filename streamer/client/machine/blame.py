"""Decides which request caused a broken connection.

A broken connection does not say which request caused it, so the client counts: a request that is alone when connections
end is the cause, or will never be answered. If several requests were unanswered, each is sent alone next.

If the service sends the id of its process in each handshake, the next handshake shows whether the process ended too, or
only the network failed, which is allowed more often.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from streamer.client.machine import effects, events
from streamer.client.machine.effects import Effect, Why
from streamer.client.machine.state import (
    ABNORMAL,
    GOING_AWAY,
    MOST_BREAKS,
    MOST_OUTLIVED,
    MOST_SHARED,
    NO_CAUSE,
    TOO_LARGE,
    Break,
    Request,
    State,
)


def blame(state: State, event: events.Ended, out: list[Effect]) -> State:
    """Fails the requests that caused the end of the connection; counts, and marks those to be sent alone."""
    if event.code in NO_CAUSE and not event.refused:
        return state
    sent = [request for request in in_order(state) if request.sent and request.about is None]
    unanswered = [request for request in sent if request.unanswered]
    if event.refused:
        return _answer_too_large(state, event, sent, out)
    if event.code == TOO_LARGE:
        return _request_too_large(state, event, unanswered, out)
    # If the service sends the id of its process, the next handshake shows more.
    decided = state.process is None or event.code != ABNORMAL
    how = Break(event.code, event.reason, state.process)
    counted = [
        replace(
            request,
            breaks=request.breaks + 1,
            deaths=request.deaths + (1 if decided else 0),
            suspect=request.breaks + 1 >= MOST_BREAKS - 1,
            alone=len(unanswered) == 1,
            undecided=not decided,
        )
        for request in unanswered
    ]
    state = _kept(state, counted)
    return _given_up(state, counted, how, out) if decided else replace(state, last=how)


def blame_later(state: State, process: str | None, out: list[Effect]) -> State:
    """The same when the next connection has shown that the process kept running."""
    how = state.last
    if how is None:
        return state
    counted = [
        replace(
            request,
            undecided=False,
            deaths=request.deaths + (1 if process != how.process else 0),
            outlived=request.outlived + (1 if process == how.process and request.alone else 0),
        )
        for request in in_order(state)
        if request.undecided
    ]
    return _given_up(_kept(replace(state, last=None), counted), counted, how, out)


def in_order(state: State) -> list[Request]:
    """The requests in the order in which they were submitted."""
    return sorted(state.requests, key=lambda request: request.order)


def end(state: State, out: list[Effect], effect: effects.End) -> State:
    """The request is over."""
    out.append(effect)
    return replace(state, requests=state.requests.without(effect.id))


def _kept(state: State, changed: Iterable[Request]) -> State:
    requests = state.requests
    for request in changed:
        requests = requests.put(request.id, request)
    return replace(state, requests=requests)


def _given_up(state: State, counted: list[Request], how: Break, out: list[Effect]) -> State:
    for request in counted:
        few = request.alone and not request.stored and how.code != GOING_AWAY
        most_deaths = MOST_BREAKS if few else MOST_SHARED
        most_outlived = MOST_SHARED if request.stored else MOST_OUTLIVED
        if request.deaths >= most_deaths or request.outlived >= most_outlived:
            state = end(
                state,
                out,
                effects.End(
                    request.id, Why.NOT_ANSWERED, how.code, how.reason, times=request.breaks, stored=request.stored
                ),
            )
    return state


def _answer_too_large(state: State, event: events.Ended, sent: list[Request], out: list[Effect]) -> State:
    """The connection ended at the start of a message, before its request was known."""
    counted = [replace(request, refusals=request.refusals + 1, suspect=True) for request in sent]
    possible = [request for request in counted if len(counted) == 1 or request.refusals >= MOST_SHARED]
    # Resuming a stored request would have shown this within moments.
    guilty = [request for request in possible if not request.stored] or possible
    state = _kept(state, counted)
    for request in guilty:
        state = end(state, out, effects.End(request.id, Why.ANSWER_TOO_LARGE, event.code, event.reason))
    if guilty:
        # None of the others was the cause.
        state = _kept(state, [replace(request, refusals=0) for request in in_order(state) if request.refusals])
    return state


def _request_too_large(state: State, event: events.Ended, unanswered: list[Request], out: list[Effect]) -> State:
    """The service closes at the first message above its limit, so the largest message certainly is."""
    if not unanswered:
        return state
    largest = max(unanswered, key=lambda request: 0 if request.stored else request.size)
    size = 0 if largest.stored else largest.size
    return end(state, out, effects.End(largest.id, Why.REQUEST_TOO_LARGE, event.code, event.reason, size=size))
