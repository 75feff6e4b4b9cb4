"""structlog without rich, which it would import for tracebacks that the service formats itself."""

from __future__ import annotations

import sys
from typing import Any, cast

_modules = cast("dict[str, Any]", sys.modules)
if "structlog" not in _modules and "rich" not in _modules:
    # None makes the import fail as if rich were not installed, which structlog supports.
    _modules["rich"] = None
    try:
        import structlog
    finally:
        del _modules["rich"]
else:
    import structlog

__all__ = ["structlog"]
