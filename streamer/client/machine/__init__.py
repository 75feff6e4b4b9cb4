"""What the client does when, as a pure state machine: `next_state(state, event)` returns the next state and effects.

Nothing here does I/O, reads a clock or draws a random number: times come with the events, and a random delay is
returned as its upper limit. `streamer.client.connection` turns what happens into events and carries the effects out.
The JavaScript client has the same machine, file by file and function by function, in `streamer/client/js/src`, and the
traces in `tests/client_traces` hold both to the same answers.

====================  =================================================================================================
phase                 what happens next
====================  =================================================================================================
idle                  a request, or a caller that waits for the connection: waiting. `connect()`: connecting
waiting               the delay is over, or `connect()`: connecting
connecting            it is open: open. It failed: waiting while anything waits, else idle. It was refused: refused
open                  the connection ended: waiting while anything waits, else idle. The code forbids another: closed
refused               all that waited has failed; as idle
closed                all that waited has failed, and so does what comes. `connect()`: connecting
====================  =================================================================================================

`close()` leads to closed from everywhere. All times are in milliseconds.
"""

from streamer.client.machine import effects, events
from streamer.client.machine.state import Interest, Options, Phase, Request, State
from streamer.client.machine.transitions import next_state

__all__ = ["Interest", "Options", "Phase", "Request", "State", "effects", "events", "next_state"]
