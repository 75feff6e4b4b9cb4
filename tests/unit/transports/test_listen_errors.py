"""What a person reads when a port cannot be listened on."""

from __future__ import annotations

import errno
import os
import socket

import pytest

from streamer.transports.listen_errors import cannot_listen


def system_error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (
            system_error(errno.EADDRINUSE),
            "port 80 on somewhere is already in use: stop the other program, or change server.port",
        ),
        (system_error(errno.EADDRNOTAVAIL), "server.host: somewhere is not an address of this machine"),
        (
            system_error(errno.EACCES),
            "this user may not listen on port 80 of somewhere: set server.port to 1024 or more",
        ),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "server.host: the name somewhere cannot be resolved: Name or service not known",
        ),
        (
            system_error(errno.EMFILE),
            "cannot listen on port 80 of somewhere: [Errno 24] Too many open files",
        ),
    ],
)
def test_each_cause_is_told_in_one_line_with_the_way_out(problem, message):
    assert str(cannot_listen("somewhere", 80, problem)) == message
