"""The client's decisions as a pure state machine: `next_state(state, event)` returns the next state and effects.

No function here does I/O, reads a clock or draws a random number: times are in the events, and a random delay is
returned as its upper limit. `streamer.client.connection` creates the events and executes the effects. The JavaScript
client has the same machine, file by file and function by function, in `streamer/client/js/src`, and the traces in
`tests/client_traces` check that both give the same answers.

====================  =================================================================================================
phase                 what happens next
====================  =================================================================================================
idle                  a request, or a caller that waits for the connection: waiting. `connect()`: connecting
waiting               the delay is over, or `connect()`: connecting
connecting            success: open. Failure: waiting while anything waits, else idle. Refusal: refused
open                  the connection ended: waiting while anything waits, else idle. Reconnecting forbidden: closed
refused               all waiting requests have failed; otherwise as idle
closed                all waiting requests have failed, and new ones fail too. `connect()`: connecting
====================  =================================================================================================

`close()` leads to closed from every phase. All times are in milliseconds.
"""

from streamer.client.machine import effects, events
from streamer.client.machine.state import Interest, Options, Phase, Request, State
from streamer.client.machine.transitions import next_state

__all__ = ["Interest", "Options", "Phase", "Request", "State", "effects", "events", "next_state"]
