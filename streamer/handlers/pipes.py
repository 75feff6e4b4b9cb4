"""Our ends of a program's three pipes, processed in pieces of limited size, so that a program's output does not block
the loop.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

_SLICES: Final = 4
"""Pieces that are passed on in one iteration of the loop."""
_WRITTEN: Final = 256 * 1024


class OutputPipe:
    """Passes on what a program writes.

    Args:
        descriptor: to read from; it is closed here.
        piece: bytes passed on at once; processing them should take at most a millisecond or two.
        on_data: called with each piece.
        on_end: called once at the end of the output, unless it was closed before.
    """

    def __init__(
        self, descriptor: int, piece: int, on_data: Callable[[bytes], None], on_end: Callable[[], None]
    ) -> None:
        self._descriptor = descriptor
        self._piece = piece
        self._on_data = on_data
        self._on_end = on_end
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_reader(descriptor, self._read)

    @property
    def open(self) -> bool:
        """Whether more may arrive."""
        return self._descriptor >= 0

    def close(self) -> None:
        """Stops reading."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)

    def _read(self) -> None:
        for _ in range(_SLICES):
            try:
                data = os.read(self._descriptor, self._piece)
            except BlockingIOError:
                return
            if not data:
                self.close()
                self._on_end()
                return
            self._on_data(data)
            if not self.open:
                return


class InputPipe:
    """Writes bytes and closes the input, as fast as the program reads.

    Args:
        descriptor: to write to; it is closed here.
        data: the whole input.
    """

    def __init__(self, descriptor: int, data: bytes) -> None:
        self._descriptor = descriptor
        self._rest = memoryview(data)
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_writer(descriptor, self._write)

    def close(self) -> None:
        """Stops writing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            asyncio.get_running_loop().remove_writer(descriptor)
            os.close(descriptor)

    def _write(self) -> None:
        try:
            self._rest = self._rest[os.write(self._descriptor, self._rest[:_WRITTEN]) :]
        except BlockingIOError:
            return
        except OSError:
            # The program has closed its input, or ended, and does not need the rest.
            self.close()
            return
        if not self._rest:
            self.close()
