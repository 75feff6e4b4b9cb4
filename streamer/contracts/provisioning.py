"""What a backend keeps outside of the service and needs before it starts, such as a table or a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Resource(Protocol):
    """One table, file or the like. `streamer backend` works on it.

    Every method raises StoreError (or another StreamerError) when it cannot be done, in one line that says why.
    """

    name: str
    """What messages call it: a table's name, a file's path."""

    async def check(self) -> Sequence[str]:
        """What is wrong with it, one sentence each, and how to fix it; empty when this version can use it as it is.

        It changes nothing.
        """
        ...

    async def create(self) -> bool:
        """Makes it, and returns when it can be used. False when it exists already: then it is left as it is."""
        ...

    async def migrate(self) -> Sequence[str]:
        """Brings an existing one up to this version, and keeps what is in it.

        Returns what was changed, one sentence each; empty when there was nothing to change.
        """
        ...

    async def delete(self) -> bool:
        """Deletes it with all that is in it. False when it did not exist."""
        ...
