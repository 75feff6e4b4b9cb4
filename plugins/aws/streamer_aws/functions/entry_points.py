"""The handlers for Lambda. Importing this module opens the service, so that it happens in the sandbox's init phase."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from streamer.core.errors import StartError
from streamer.engine.boundary import default_logger
from streamer.runtime.event_loop import new_loop, run_until_complete
from streamer_aws.functions.sandbox import Sandbox

CONFIG: Final = "STREAMER_CONFIG"
"""The service's file; a relative path is from the function's own folder."""

Handler = Callable[[dict[str, Any], Any], Any]


def _path() -> Path:
    name = os.environ.get(CONFIG)
    if not name:
        raise StartError(f"{CONFIG} is not set; set it to the path of the service's file")
    return Path(os.environ.get("LAMBDA_TASK_ROOT", "")) / name


_sandbox: Final = Sandbox(_path())
# One loop for the sandbox's whole life: clients and their connections belong to it.
_loop: Final = new_loop()


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return run_until_complete(_loop, work, default_logger())


def made(name: str) -> Handler:
    """The handler with that name, with its part of the service opened.

    Raises:
        StreamerError: the service cannot start; the message is one line.
    """
    opening = _sandbox.open_edge if name in ("connect", "disconnect") else _sandbox.open_runtime
    asyncio.set_event_loop(_loop)
    _run(opening())
    entry_point: Callable[[dict[str, Any], Any], Coroutine[Any, Any, Any]] = getattr(_sandbox, name)

    def handler(event: dict[str, Any], context: Any) -> Any:
        return _run(entry_point(event, context))

    handler.__name__ = handler.__qualname__ = name
    return handler
