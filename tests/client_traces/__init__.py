"""Traces of the client's state machine: plays them, and records them anew when the machine is changed on purpose.

A trace is a JSON file with `about`, `options` and `steps`. Each step has an `event`, the `effects` that it leads to and
the `state` after it, of which only what differs from the default is written down. Both clients must answer alike.

After a change, run `python -m client_traces` in the folder `tests`, and read each difference before it is committed.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from streamer.client.machine import Options, Request, State, next_state
from streamer.client.machine.events import Event

FOLDER = Path(__file__).parent
_STATE = {field.name: field.default for field in msgspec.structs.fields(State) if field.name != "options"}
_REQUEST = {field.name: field.default for field in msgspec.structs.fields(Request) if field.name != "id"}


def shown(state: State) -> dict[str, Any]:
    """A state as a trace shows it."""
    requests = {request.id: _differing(request, _REQUEST) for request in sorted(state.requests, key=_order)}
    fields = {"phase": state.phase, **_differing(state, _STATE), "requests": requests}
    if "line" in fields:
        fields["line"] = list(state.line)
    return {name: msgspec.to_builtins(value) for name, value in fields.items() if name != "requests" or requests}


def _order(request: Request) -> int:
    return request.order


def _differing(struct: msgspec.Struct, usual: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, default in usual.items() if (value := getattr(struct, name)) != default}


def play(options: dict[str, Any], happened: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The steps that these events lead to."""
    state, steps = State(msgspec.convert(options, Options)), []
    for event in happened:
        state, effects = next_state(state, msgspec.convert(event, Event))
        steps.append({"event": event, "effects": msgspec.to_builtins(effects), "state": shown(state)})
    return steps


def _written(trace: dict[str, Any]) -> str:
    """One line for each event, effect and state."""
    head = json.dumps({name: trace[name] for name in ("about", "options")}, indent=2, ensure_ascii=False)
    steps = []
    for step in trace["steps"]:
        effects = ",\n".join(f"        {json.dumps(effect)}" for effect in step["effects"])
        steps.append(
            f'    {{\n      "event": {json.dumps(step["event"])},\n'
            f'      "effects": [{effects and chr(10)}{effects}{effects and chr(10) + "      "}],\n'
            f'      "state": {json.dumps(step["state"])}\n    }}'
        )
    return head.removesuffix("\n}") + ',\n  "steps": [\n' + ",\n".join(steps) + "\n  ]\n}\n"


def paths() -> list[Path]:
    """Of all traces."""
    return sorted(FOLDER.glob("*.json"))


def record() -> None:
    """Writes the effects and states of every trace anew."""
    for path in paths():
        trace = json.loads(path.read_text())
        trace["steps"] = play(trace["options"], [step["event"] for step in trace["steps"]])
        path.write_text(_written(trace))
