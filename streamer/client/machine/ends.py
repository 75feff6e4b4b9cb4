"""Handles the end of an attempt or a connection."""

from __future__ import annotations

from msgspec.structs import replace

from streamer.client.machine import effects, events
from streamer.client.machine.blame import blame, end, in_order
from streamer.client.machine.effects import Effect, Why
from streamer.client.machine.state import (
    CLOSED_HERE,
    FIRST_DELAY,
    MOST_DOUBLINGS,
    TOKEN_EXPIRED,
    TOO_LARGE,
    UNAUTHORIZED,
    Break,
    Interest,
    Phase,
    State,
    final_close,
    final_refusal,
)


def enter(state: State, phase: Phase) -> State:
    """Another phase; events of earlier ones are ignored."""
    return replace(state, phase=phase, epoch=state.epoch + 1)


def dial(state: State, out: list[Effect]) -> State:
    """Starts an attempt now."""
    state = replace(enter(state, Phase.CONNECTING), retried=False, lost=None)
    out += [effects.Report(Phase.CONNECTING), effects.Dial(state.epoch)]
    return state


def wait(state: State, out: list[Effect], code: int | None = None, reason: str = "") -> State:
    """The first attempt is due at once, further ones after a random delay: exponential back-off with full jitter, as in
    Marc Brooker's "Exponential Backoff And Jitter" (AWS, 2015).
    """
    doublings = min(state.tries - 1, MOST_DOUBLINGS)
    longest = 0 if doublings < 0 else min(state.options.longest, FIRST_DELAY * 2**doublings)
    state = replace(enter(state, Phase.WAITING), tries=state.tries + 1)
    out.append(effects.Wait(state.epoch, longest, state.tries, code, reason))
    return state


def failed(state: State, event: events.Failed, out: list[Effect]) -> State:
    """An attempt failed or was refused."""
    if state.phase is not Phase.CONNECTING or event.epoch != state.epoch:
        return state
    if event.status == UNAUTHORIZED and state.options.renewable and not state.retried:
        # The token may have expired on its way, or its key was just replaced: try once more, then it is invalid.
        state = replace(enter(state, Phase.CONNECTING), retried=True)
        out.append(effects.Dial(state.epoch))
        return state
    out.append(effects.Tried(failed=True))
    if event.final or final_refusal(event.status) or not state.options.reconnect:
        for request in in_order(state):
            state = end(state, out, effects.End(request.id, Why.REFUSED))
        out.append(effects.Report(Phase.REFUSED, event.code, event.reason))
        return replace(enter(state, Phase.REFUSED), wanted=False)
    return _go_on(state, event.code, event.reason, out)


def ended(state: State, event: events.Ended, out: list[Effect], *, expected: bool = False) -> State:
    """A connection has ended.

    Args:
        state: before it.
        event: how.
        out: effects.
        expected: this client ended it for a reason that no request caused.
    """
    if state.phase not in (Phase.CONNECTING, Phase.OPEN) or event.epoch != state.epoch:
        return state
    if state.phase is Phase.CONNECTING:
        out.append(effects.Tried(failed=False))
    elif event.now - state.opened_at >= state.options.longest:
        # Only a stable connection resets the count, so that a service that drops every connection is not overloaded.
        state = replace(state, tries=0, refreshed=False)
    # An expired token allows another connection if a fresh token can be obtained.
    refresh = event.code == TOKEN_EXPIRED and state.options.renewable and not state.refreshed
    if refresh:
        state = replace(state, refreshed=True)
    if not expected:
        before = len(state.requests)
        state = blame(state, event, out)
        if len(state.requests) < before:
            # The cause is known, and will not end the next connection.
            state = replace(state, tries=0)
    # The message that was too large is identified and not sent again; the other requests continue.
    helps = refresh or event.code == TOO_LARGE or not final_close(event.code)
    if not (state.options.reconnect and helps):
        return finish(state, Break(event.code, event.reason), out)
    return _go_on(_begin_anew(state, event, out), event.code, event.reason, out)


def finish(state: State, lost: Break, out: list[Effect]) -> State:
    """Fails everything that waits."""
    for request in in_order(state):
        if request.about is None:
            state = end(state, out, effects.End(request.id, Why.LOST, lost.code, lost.reason))
    if state.phase is not Phase.REFUSED:
        out.append(effects.Report(Phase.CLOSED, lost.code, lost.reason))
    return State(
        options=state.options,
        phase=Phase.CLOSED,
        epoch=state.epoch + 1,
        tries=state.tries,
        refreshed=state.refreshed,
        lost=lost,
        added=state.added,
        asked=state.asked,
    )


def close(state: State, out: list[Effect]) -> State:
    """The program closes the client."""
    if state.phase is Phase.CLOSED:
        return state
    if state.phase is Phase.CONNECTING:
        out.append(effects.Tried(failed=True))
    if state.phase in (Phase.CONNECTING, Phase.OPEN):
        out.append(effects.HangUp(polite=True))
    return finish(state, Break(*CLOSED_HERE), out)


def withdraw(state: State, out: list[Effect]) -> State:
    """No caller waits in `connect()`; the attempt continues only if something else waits for it."""
    if state.phase is not Phase.CONNECTING or _needed(state):
        return state
    out += [effects.HangUp(polite=False), effects.Report(Phase.IDLE)]
    return enter(state, Phase.IDLE)


def _begin_anew(state: State, event: events.Ended, out: list[Effect]) -> State:
    """Marks what the next connection may send as unsent."""
    for request in in_order(state):
        if request.about is not None:
            state = replace(state, requests=state.requests.without(request.id))
        elif not request.stored and not request.resend and request.sends > 0:
            state = end(state, out, effects.End(request.id, Why.LOST, event.code, event.reason))
        elif request.sent:
            kept = replace(request, sent=False, unanswered=False)
            state = replace(state, requests=state.requests.put(request.id, kept))
    return replace(state, line=(), awaited=None, process=None)


def _go_on(state: State, code: int | None, reason: str, out: list[Effect]) -> State:
    if _needed(state):
        return wait(state, out, code, reason)
    out.append(effects.Report(Phase.IDLE, code, reason))
    return enter(state, Phase.IDLE)


def _needed(state: State) -> bool:
    return state.wanted or any(request.interest is not Interest.LEFT for request in state.requests)
