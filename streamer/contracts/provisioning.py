"""The resources that a backend keeps outside of the service and needs before it starts, such as a table or a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Resource(Protocol):
    """One table, file or the like, which `streamer backend` manages.

    Every method raises StoreError (or another StreamerError) when it fails, with the reason on one line.
    """

    name: str
    """The name in messages: a table's name, or a file's path."""

    async def check(self) -> Sequence[str]:
        """The problems with the resource, one sentence each, with a fix; empty when this version can use it.

        Changes nothing.
        """
        ...

    async def create(self) -> bool:
        """Creates the resource, and returns when it can be used. False when it already exists; then it is not
        changed.
        """
        ...

    async def migrate(self) -> Sequence[str]:
        """Upgrades an existing resource to this version, and keeps its content.

        Returns the changes, one sentence each; empty when nothing had to change.
        """
        ...

    async def delete(self) -> bool:
        """Deletes the resource with its content. False when it did not exist."""
        ...
