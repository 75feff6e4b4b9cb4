"""How the running Python was built: an interpreter without PGO and LTO is 10 to 30 % slower."""

from __future__ import annotations

import platform
import sysconfig

OPTIMIZATIONS = {"PGO": "--enable-optimizations", "LTO": "--with-lto"}
"""By the switches of CPython's own configure script."""


def python_build(arguments: str | None = None) -> str:
    """One line for the head of a table of results.

    Args:
        arguments: of the configure script; those of this Python when left out.
    """
    if arguments is None:
        arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    built = f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}"
    if not arguments:
        return f"{built}; it does not say whether it was built with PGO and LTO"
    switches = arguments.replace("'", " ").split()
    found = [
        f"with {name}" if any(one == switch or one.startswith(f"{switch}=") for one in switches) else f"without {name}"
        for name, switch in OPTIMIZATIONS.items()
    ]
    slower = "" if all(one.startswith("with ") for one in found) else " (one with both is 10 to 30 % faster)"
    return f"{built}, built {' and '.join(found)}{slower}"
