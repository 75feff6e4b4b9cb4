"""AWS: the entry points for Lambda, and an emulator of the AWS services around them.

A function's handler is `streamer_aws.connect`, `.disconnect`, `.default`, `.processor` or `.sweep`. Reading one of
these names from this module opens the service of `STREAMER_CONFIG`, so that Lambda does this while a sandbox starts.
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
