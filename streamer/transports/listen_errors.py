"""Why the service could not listen on its port, on one line."""

from __future__ import annotations

import errno
import socket

from streamer.core.errors import PortInUse, StartError


def cannot_listen(host: str, port: int, problem: OSError, section: str = "server") -> StartError:
    """The message, with the setting to change."""
    kind = PortInUse if problem.errno == errno.EADDRINUSE else StartError
    return kind(_why(host, port, problem, section))


def _why(host: str, port: int, problem: OSError, section: str) -> str:
    if isinstance(problem, socket.gaierror):
        return f"{section}.host: the name {host} cannot be resolved: {problem.strerror}"
    if problem.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is already in use: stop the other program, or change {section}.port"
    if problem.errno == errno.EADDRNOTAVAIL:
        return f"{section}.host: {host} is not an address of this machine"
    if problem.errno == errno.EACCES:
        return f"this user may not listen on port {port} of {host}: set {section}.port to 1024 or more"
    return f"cannot listen on port {port} of {host}: {problem}"
