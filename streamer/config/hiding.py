"""Secrets: where they stand, and how they are kept out of what people see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from streamer.config.applicable import is_secret
from streamer.config.document import Document, Place
from streamer.config.wording import HIDDEN

SHORTEST: Final = 4
"""Characters. A shorter secret is hidden in its own place only: hiding every `1` would make all output unreadable, and
would tell the secret by its gaps."""


def secret_places(value: Any, schema: Mapping[str, Any], place: Place) -> Iterator[Place]:
    """The places below `place` whose values the schema marks with `writeOnly`.

    Args:
        value: what stands at `place`.
        schema: of what stands there.
        place: comes first in every place that is yielded.
    """
    for inside in _places(value, ()):
        if is_secret(schema, inside):
            yield (*place, *inside)


def _places(value: Any, place: Place) -> Iterator[Place]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _places(item, (*place, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _places(item, (*place, index))
    else:
        yield place


def secret_values(document: Document, places: AbstractSet[Place]) -> frozenset[str]:
    """What `${…}` put into secret places, and what stands there because of it."""
    return frozenset(text for place in places for _, text in document.filled.get(place, ()) if len(text) >= SHORTEST)


def hide(value: Any, secrets: AbstractSet[str], places: AbstractSet[Place] = frozenset(), place: Place = ()) -> Any:
    """The value with `***` for what is secret.

    Args:
        value: plain data.
        secrets: texts that are hidden wherever they are, also as a part of a longer text.
        places: what stands there is hidden whole.
        place: where the value stands.
    """
    if place in places:
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: hide(item, secrets, places, (*place, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [hide(item, secrets, places, (*place, index)) for index, item in enumerate(value)]
    if isinstance(value, str):
        # The longest first: one secret may be part of another.
        for secret in sorted(secrets, key=len, reverse=True):
            value = value.replace(secret, HIDDEN)
    return value


def hide_options(options: Mapping[str, Any], schema: Mapping[str, Any], secrets: AbstractSet[str]) -> dict[str, Any]:
    """A component's options as people may see them.

    Args:
        options: checked.
        schema: the component's own, of its options.
        secrets: `Settings.secrets`.
    """
    hidden: dict[str, Any] = hide(options, secrets, frozenset(secret_places(options, schema, ())))
    return hidden
