"""Our ends of a program's three pipes, used a bounded piece at a time: no flood of a program holds the loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Final

_SLICES: Final = 4
"""Pieces that are handed on in one turn of the loop."""
_WRITTEN: Final = 256 * 1024


class OutputPipe:
    """Hands on what a program writes.

    Args:
        descriptor: to read from; it is closed here.
        piece: bytes handed on at once, so many that what they cause takes a millisecond or two at most.
        on_data: called with each piece.
        on_end: called once when nothing more will come, unless it was closed before.
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
        """Whether something may still come."""
        return self._descriptor >= 0

    def close(self) -> None:
        """Reads nothing more."""
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
    """Writes bytes and the end of input, as fast as the program reads.

    Args:
        descriptor: to write to; it is closed here.
        data: all that is written.
    """

    def __init__(self, descriptor: int, data: bytes) -> None:
        self._descriptor = descriptor
        self._rest = memoryview(data)
        os.set_blocking(descriptor, False)
        asyncio.get_running_loop().add_writer(descriptor, self._write)

    def close(self) -> None:
        """Writes nothing more."""
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
            # The program has closed its input, or ended: what it has not read it does not want.
            self.close()
            return
        if not self._rest:
            self.close()
