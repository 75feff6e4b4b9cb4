"""Records every trace anew."""

from client_traces import record

record()
