from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

TOOLS = Path(__file__).parents[3] / ".tools" / "node_modules" / ".bin"


def found(name: str) -> str:
    """The program's path. One that is missing skips the test at home and fails it where everything must be there."""
    path = shutil.which(name) or shutil.which(name, path=str(TOOLS))
    if path is None:
        missing: Any = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(f"{name} is not installed; .ci/run says how it is")
    return path


@pytest.fixture(scope="session")
def node() -> list[str]:
    """The command that runs a script. Node 20 has a WebSocket only if it is asked for one."""
    return [found("node"), "--experimental-websocket", "--no-warnings"]


@pytest.fixture(scope="session")
def tsc() -> str:
    return found("tsc")
