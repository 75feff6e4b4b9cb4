"""How a test decides when the handler `steps` goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Gates:
    """What lets `steps` go on, wherever it runs."""

    def __init__(self, folder: Path) -> None:
        self.payload = {"gates": str(folder)}
        self._folder = folder

    def open(self, *numbers: int) -> None:
        for number in numbers:
            (self._folder / str(number)).touch()

    async def walk(self, *clients: Any, first: int = 1) -> None:
        """Opens each once all these clients know that the handler is there."""
        for number in range(first, 4):
            for client in clients:
                await client.said("r1", "progress", percentage=25 * number)
            self.open(number)
