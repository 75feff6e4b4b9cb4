"""Why a port could not be listened on, in one line."""

from __future__ import annotations

import errno
import socket

from streamer.config.settings import ServerSettings
from streamer.core.errors import PortInUse, StartError


def cannot_listen(settings: ServerSettings, problem: OSError) -> StartError:
    """Says what to change in the file so that it can."""
    kind = PortInUse if problem.errno == errno.EADDRINUSE else StartError
    return kind(_why(settings, problem))


def _why(settings: ServerSettings, problem: OSError) -> str:
    host, port = settings.host, settings.port
    if isinstance(problem, socket.gaierror):
        return f"server.host: {host} is not a name that is known here: {problem.strerror}"
    if problem.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is taken: stop the other program, or set server.port"
    if problem.errno == errno.EADDRNOTAVAIL:
        return f"server.host: {host} is not an address of this machine"
    if problem.errno == errno.EACCES:
        return f"port {port} on {host} may not be used by this user: set server.port to 1024 or more"
    return f"port {port} on {host} cannot be listened on: {problem}"
