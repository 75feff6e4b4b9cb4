"""The transition for each event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from streamer.client.machine import effects, events
from streamer.client.machine.answers import abandoned, message, too_large, unaddressed
from streamer.client.machine.blame import blame_later
from streamer.client.machine.effects import Effect, Why
from streamer.client.machine.ends import close, dial, ended, failed, wait, withdraw
from streamer.client.machine.events import Event
from streamer.client.machine.sending import send, send_all, turn_over, was_answered
from streamer.client.machine.state import Phase, Request, State


def next_state(state: State, event: Event) -> tuple[State, list[Effect]]:
    """The state after the event, and the effects, in order."""
    out: list[Effect] = []
    state = _ON[type(event)](state, event, out)
    if state.awaited is not None and was_answered(state):
        state = turn_over(state, out)
    return state, out


def _connect(state: State, _event: events.Connect, out: list[Effect]) -> State:
    if state.phase in (Phase.CONNECTING, Phase.OPEN):
        return state
    return dial(replace(state, refreshed=False), out)


def _wanted(state: State, _event: events.Wanted, out: list[Effect]) -> State:
    if state.phase in (Phase.OPEN, Phase.CLOSED):
        return state
    return _woken(replace(state, wanted=True), out)


def _submitted(state: State, event: events.Submitted, out: list[Effect]) -> State:
    if state.phase is Phase.CLOSED:
        assert state.lost is not None
        out.append(effects.End(event.id, Why.LOST, state.lost.code, state.lost.reason))
        return state
    request = Request(
        event.id,
        state.added,
        size=event.size,
        stored=event.stored,
        resend=event.resend,
        patient=event.patient,
    )
    state = replace(state, added=state.added + 1)
    if state.phase is Phase.OPEN and state.awaited is None:
        return send(state, request, out)
    state = replace(state, requests=state.requests.put(request.id, request))
    if state.phase is Phase.OPEN:
        return replace(state, line=(*state.line, request.id))
    return _woken(state, out)


def _woken(state: State, out: list[Effect]) -> State:
    """Something waits for a connection, which is opened unless that is in progress."""
    return wait(state, out) if state.phase in (Phase.IDLE, Phase.REFUSED) else state


def _adopted(state: State, event: events.Adopted, out: list[Effect]) -> State:
    if state.phase is not Phase.OPEN:
        return _submitted(state, events.Submitted(event.id, stored=True), out)
    request = Request(event.id, state.added, stored=True, sent=True)
    return replace(state, added=state.added + 1, requests=state.requests.put(request.id, request))


def _due(state: State, event: events.Due, out: list[Effect]) -> State:
    return dial(state, out) if state.phase is Phase.WAITING and event.epoch == state.epoch else state


def _opened(state: State, event: events.Opened, out: list[Effect]) -> State:
    if state.phase is not Phase.CONNECTING or event.epoch != state.epoch:
        return state
    again = state.reopens
    state = replace(
        state, phase=Phase.OPEN, opened_at=event.now, process=event.process, wanted=False, retried=False, reopens=True
    )
    state = blame_later(state, event.process, out)
    out += [effects.Tried(failed=False), effects.Report(Phase.OPEN)]
    state = send_all(state, out)
    if again:
        out.append(effects.Reopened())
    return state


def _turn_is_over(state: State, event: events.TurnOver, out: list[Effect]) -> State:
    if state.phase is not Phase.OPEN or event.epoch != state.epoch or state.suspect != event.id:
        return state
    return turn_over(state, out)


def _again(state: State, event: events.Again, out: list[Effect]) -> State:
    request = state.requests.get(event.id)
    # On another connection, everything has been sent again.
    if state.phase is not Phase.OPEN or event.epoch != state.epoch or request is None:
        return state
    return send(state, request, out)


_ON: Final[dict[type[Event], Callable[[State, Any, list[Effect]], State]]] = {
    events.Connect: _connect,
    events.Withdraw: lambda state, _event, out: withdraw(state, out),
    events.Close: lambda state, _event, out: close(state, out),
    events.Wanted: _wanted,
    events.Submitted: _submitted,
    events.Adopted: _adopted,
    events.Abandoned: abandoned,
    events.Due: _due,
    events.Opened: _opened,
    events.Failed: failed,
    events.Ended: ended,
    events.Message: message,
    events.Unaddressed: unaddressed,
    events.TooLarge: too_large,
    events.TurnOver: _turn_is_over,
    events.Again: _again,
}
