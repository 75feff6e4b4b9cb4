"""AWS: the entry points that Lambda calls, and an emulator of all that calls and surrounds them there.

A function's handler is `streamer_aws.connect`, `.disconnect`, `.default`, `.processor` or `.sweep`. Taking one of these
names out of this module opens the service that `STREAMER_CONFIG` names, so that Lambda does it while a sandbox begins.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from streamer_aws.functions.sandbox import Sandbox

__all__ = ["Sandbox"]

ENTRY_POINTS: Final = ("connect", "disconnect", "default", "processor", "sweep")


def __getattr__(name: str) -> Any:
    if name in ENTRY_POINTS:
        from streamer_aws.functions.entry_points import made  # noqa: PLC0415 - importing it starts the service

        return globals().setdefault(name, made(name))
    if name == "Sandbox":
        from streamer_aws.functions.sandbox import Sandbox as _Sandbox  # noqa: PLC0415 - the emulator needs it only when it runs

        return _Sandbox
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
