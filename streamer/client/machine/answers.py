"""The reaction to a message of the service."""

from __future__ import annotations

from msgspec.structs import replace

from streamer.client.machine import effects, events
from streamer.client.machine.blame import end, in_order
from streamer.client.machine.effects import Effect, Why
from streamer.client.machine.ends import ended
from streamer.client.machine.events import Kind
from streamer.client.machine.sending import forget
from streamer.client.machine.state import ABNORMAL, ASK_AGAIN, MOST_SENDS, Interest, Phase, Request, State

_TERMINAL = (Kind.SUCCEEDED, Kind.FAILED, Kind.BUSY)


def message(state: State, event: events.Message, out: list[Effect]) -> State:
    """A message about one request."""
    if state.phase is not Phase.OPEN:
        return state
    if state.refreshed:
        state = replace(state, refreshed=False)  # The fresh token was accepted.
    request = state.requests.get(event.id)
    if request is None:
        return state
    if request.about is not None:
        return _question_answered(state, request, request.about, event, out)
    if event.kind is Kind.BUSY and not request.stored:
        if event.reconnect and state.options.reconnect and request.resend:
            # The service is about to close this connection, and the request is sent again on the next one.
            return state
        if request.sends > 1 or request.patient:
            # An earlier message may have been stored; a busy service reveals nothing about it.
            out.append(effects.Later(state.epoch, request.id, ASK_AGAIN if event.delay is None else event.delay))
            return state
    if event.seq is not None and event.seq <= request.seq:
        return state
    out.append(effects.Deliver(request.id))
    if event.kind in _TERMINAL:
        return replace(state, requests=state.requests.without(request.id))
    if event.seq is not None:
        request = replace(request, seq=event.seq)
    elif event.kind is not Kind.ACKNOWLEDGED:
        return state
    return _store(state, request, out)


def _store(state: State, request: Request, out: list[Effect]) -> State:
    """The service has the request, and has answered in some way."""
    request = replace(request, stored=True, unanswered=False, undecided=False, sends=0, breaks=0, deaths=0, outlived=0)
    if request.interest is not Interest.AWAITED:
        return forget(state, request, out)
    return replace(state, requests=state.requests.put(request.id, request))


def _question_answered(state: State, question: Request, about: str, event: events.Message, out: list[Effect]) -> State:
    if event.kind not in _TERMINAL:
        return state
    state = replace(state, requests=state.requests.without(question.id))
    request = state.requests.get(about)
    if request is None:
        return state
    if event.kind is Kind.SUCCEEDED:
        out.append(effects.Confirm(request.id))
        return _store(state, request, out)
    if event.kind is Kind.BUSY:
        out.append(effects.Later(state.epoch, request.id, ASK_AGAIN if event.delay is None else event.delay))
        return state
    return end(state, out, effects.End(request.id, Why.ERROR))


def unaddressed(state: State, event: events.Unaddressed, out: list[Effect]) -> State:
    """An error that names no request."""
    if state.phase is not Phase.OPEN:
        return state
    unanswered = [request for request in in_order(state) if request.unanswered and request.about is None]
    if event.gateway and state.options.reconnect and any(request.stored or request.resend for request in unanswered):
        # A function failed for one of these requests, and only another connection shows for which. This is limited,
        # because the function may fail because of the request.
        for request in unanswered:
            if request.sends >= MOST_SENDS:
                # A stored request continues; only its outcome cannot be read.
                why = Why.NOT_ANSWERED if request.stored else Why.FUNCTION_FAILED
                given_up = effects.End(
                    request.id, why, ABNORMAL, event.reason, times=request.sends, stored=request.stored
                )
                state = end(state, out, given_up)
        out.append(effects.HangUp(polite=False))
        return ended(state, events.Ended(state.epoch, ABNORMAL, event.reason, event.now), out, expected=True)
    if len(unanswered) == 1:
        # Every request is kept until it is answered, so the error can only belong to this one.
        return end(state, out, effects.End(unanswered[0].id, Why.ERROR))
    out.append(effects.Unclear(len(unanswered)))
    return state


def too_large(state: State, event: events.TooLarge, out: list[Effect]) -> State:
    """A message that was not read, because it is too large."""
    request = state.requests.get(event.id)
    if state.phase is not Phase.OPEN or request is None:
        return state
    if request.about is None:
        return end(state, out, effects.End(request.id, Why.ANSWER_TOO_LARGE))
    state = replace(state, requests=state.requests.without(request.id))
    if state.requests.get(request.about) is None:
        return state
    return end(state, out, effects.End(request.about, Why.ANSWER_TOO_LARGE))


def abandoned(state: State, event: events.Abandoned, out: list[Effect]) -> State:
    """No caller waits for a request any longer."""
    request = state.requests.get(event.id)
    if request is None or request.interest is not Interest.AWAITED:
        return state
    if (request.stored and event.cancel) or (not request.stored and request.sends == 0):
        return forget(state, request, out)
    request = replace(request, interest=Interest.CANCELLED if event.cancel else Interest.LEFT)
    return replace(state, requests=state.requests.put(request.id, request))
