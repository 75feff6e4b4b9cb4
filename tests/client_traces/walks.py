"""Random sequences of events for the client's state machine, and a world that knows what may follow what.

The world is the least that a shell must do: a try that was begun opens or fails, a link ends once, timers fire after
they were set. It also says what was done wrong: two links at once, a request forgotten or ended twice, a wait without
an end.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec

from client_traces import shown
from streamer.client.machine import Interest, Options, Phase, State, effects, events, next_state
from streamer.client.machine.events import Kind

_CODES = (1000, 1001, 1003, 1006, 1006, 1006, 1008, 1009, 1012, 3001, 3008, 3500, 3501)
_STATUSES = (None, None, 401, 403, 503)
_REASONS = ("", "gone")


class World:
    """Follows the effects.

    Args:
        options: of the machine.
    """

    def __init__(self, options: Options) -> None:
        self.state = State(options)
        self.dialled: int | None = None
        """The epoch of the try that is under way."""
        self.linked: int | None = None
        """The epoch of the link that is open."""
        self.timers: list[events.Event] = []
        self.waiting: set[str] = set()
        """Requests that were submitted and have not ended."""
        self.sent_over: dict[str, int] = {}
        """The epoch of the link over which each was sent, or asked after, last."""

    def happens(self, event: events.Event) -> dict[str, Any]:
        """Plays one event. Returns the step, as a trace holds it."""
        before, earlier = shown(self.state), self.state
        self._prepare(event)
        self.state, todo = next_state(self.state, event)
        assert shown(earlier) == before, "a state was changed after it was returned"
        for effect in todo:
            self._follow(effect, event)
        self._check()
        return {"event": msgspec.to_builtins(event), "effects": msgspec.to_builtins(todo), "state": shown(self.state)}

    def _prepare(self, event: events.Event) -> None:
        match event:
            case events.Opened(epoch=epoch) if epoch == self.dialled:
                self.dialled, self.linked = None, epoch
            case events.Failed(epoch=epoch) if epoch == self.dialled:
                self.dialled = None
            case events.Ended(epoch=epoch):
                self.dialled = None if epoch == self.dialled else self.dialled
                self.linked = None if epoch == self.linked else self.linked
            case events.Submitted() | events.Adopted():
                self.waiting.add(event.id)
                if isinstance(event, events.Adopted):
                    self.sent_over[event.id] = self.state.epoch
            case events.Abandoned():
                self.waiting.discard(event.id)
            case events.Due() | events.Again() | events.TurnOver():
                if event in self.timers:
                    self.timers.remove(event)

    def _follow(self, effect: effects.Effect, event: events.Event) -> None:
        match effect:
            case effects.Dial():
                assert self.dialled is None, "two tries at once"
                assert self.linked is None, "a try while a link is open"
                self.dialled = effect.epoch
            case effects.HangUp():
                assert self.dialled is not None or self.linked is not None, "nothing to hang up"
                self.dialled = self.linked = None
            case effects.Send() | effects.Ask():
                assert self.linked == self.state.epoch, f"{effect.id} is sent over no link"
                self.sent_over[effect.id] = self.linked
            case effects.Deliver():
                assert isinstance(event, events.Message)
                if event.kind in (Kind.SUCCEEDED, Kind.FAILED, Kind.BUSY):
                    self._ended(effect.id)
            case effects.End():
                self._ended(effect.id)
            case effects.Forget():
                assert effect.id not in self.waiting, f"{effect.id} is forgotten"
            case effects.Wait():
                self.timers.append(events.Due(effect.epoch))
            case effects.Later():
                self.timers.append(events.Again(effect.epoch, effect.id))
            case effects.Turn():
                self.timers.append(events.TurnOver(effect.epoch, effect.id))

    def _ended(self, request_id: str) -> None:
        # One that was abandoned may still end, as far as the machine is concerned.
        self.waiting.discard(request_id)

    def _check(self) -> None:
        state = self.state
        known = {request.id: request for request in state.requests if request.about is None}
        awaited = {request.id for request in known.values() if request.interest is Interest.AWAITED}
        assert awaited == self.waiting, "a request was forgotten, or ended twice"
        phase = state.phase
        if phase in (Phase.IDLE, Phase.REFUSED, Phase.CLOSED):
            assert not self.waiting, "requests wait for a connection that nobody opens"
            assert self.dialled is None
            assert self.linked is None
        if phase is Phase.WAITING:
            assert events.Due(state.epoch) in self.timers, "no try is due"
        assert (self.dialled == state.epoch) == (phase is Phase.CONNECTING), "no try is under way"
        assert (self.linked == state.epoch) == (phase is Phase.OPEN), "no link is open"
        if phase is Phase.OPEN:
            in_line = set(state.line)
            sent = {one for one in self.waiting if self.sent_over.get(one) == state.epoch}
            assert self.waiting <= sent | in_line, "a request is never sent"
            assert not in_line or state.awaited is not None, "the line does not move"
        if state.awaited is not None:
            assert events.TurnOver(state.epoch, state.suspect) in self.timers, "the line may wait for ever"


def walk(seed: int, length: int = 60) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A random sequence: its options, and its steps."""
    draw = random.Random(seed)
    options = Options(
        reconnect=draw.random() < 0.9, renewable=draw.random() < 0.5, longest=draw.choice((2000, 30_000)), name="q"
    )
    world = World(options)
    steps = [world.happens(_event(draw, world, step)) for step in range(length)]
    return msgspec.to_builtins(options), steps


def _event(draw: random.Random, world: World, step: int) -> events.Event:
    state, now = world.state, step * 1000
    ids = [request.id for request in sorted(state.requests, key=lambda request: request.order)]
    some = draw.choice(ids) if ids else "nobody"
    # Mostly what leads on, so that a walk comes far.
    if world.dialled is not None and draw.random() < 0.5:
        return events.Opened(world.dialled, now, draw.choice((None, "p", "q")))
    if world.timers and draw.random() < 0.3:
        return draw.choice(world.timers)
    epoch = draw.choice((state.epoch, state.epoch, state.epoch - 1))
    chance = draw.random()
    if chance < 0.22:
        return events.Submitted(
            f"r{state.added}",
            size=draw.randrange(100),
            stored=draw.random() < 0.2,
            resend=draw.random() < 0.8,
            patient=draw.random() < 0.1,
        )
    if chance < 0.52 and ids:
        seq = draw.choice((None, None, draw.randrange(12)))
        delay = draw.choice((None, 250))
        return events.Message(some, draw.choice(list(Kind)), seq, draw.random() < 0.3, delay)
    if chance < 0.72:
        live = world.linked if world.linked is not None and draw.random() < 0.8 else epoch
        refused = draw.random() < 0.15
        return events.Ended(live, draw.choice(_CODES), draw.choice(_REASONS), now, refused)
    return draw.choice(
        (
            events.Connect(),
            events.Wanted(),
            events.Withdraw(),
            events.Close() if draw.random() < 0.3 else events.Connect(),
            events.Adopted(f"r{state.added}"),
            events.Abandoned(some, cancel=draw.random() < 0.5),
            events.Failed(epoch, draw.choice(_REASONS), 1006, draw.choice(_STATUSES), draw.random() < 0.1),
            events.Unaddressed(now, "Internal server error", gateway=draw.random() < 0.7),
            events.TooLarge(some),
            events.TurnOver(epoch, some),
            events.Again(epoch, some),
            events.Due(epoch),
            events.Opened(epoch, now),
        )
    )
