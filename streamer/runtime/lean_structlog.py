"""structlog without rich: it would load it, where it is installed, for tracebacks that the service writes itself."""

from __future__ import annotations

import sys
from typing import Any, cast

_modules = cast("dict[str, Any]", sys.modules)
if "structlog" not in _modules and "rich" not in _modules:
    # None makes the import fail as if it were not installed; structlog is written for that.
    _modules["rich"] = None
    try:
        import structlog
    finally:
        del _modules["rich"]
else:
    import structlog

__all__ = ["structlog"]
