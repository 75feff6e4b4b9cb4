"""Finds secrets and hides them in everything that people see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from streamer.config.applicable import is_secret
from streamer.config.document import Document, Place
from streamer.config.sentences import HIDDEN

SHORTEST: Final = 4
"""Characters. A shorter secret is hidden only in its own place: hiding every `1` would make all output unreadable, and
the gaps would reveal the secret.
"""


def secret_places(value: Any, schema: Mapping[str, Any], place: Place) -> Iterator[Place]:
    """The places below `place` whose values the schema marks with `writeOnly`.

    Args:
        value: the value at `place`.
        schema: of this value.
        place: the prefix of every returned place.
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
    """The strings that `${…}` filled into secret places, and the values of these places."""
    return frozenset(text for place in places for _, text in document.filled.get(place, ()) if len(text) >= SHORTEST)


def hide(value: Any, secrets: AbstractSet[str], places: AbstractSet[Place] = frozenset(), place: Place = ()) -> Any:
    """The value with secrets replaced by `***`.

    Args:
        value: plain data.
        secrets: strings that are hidden everywhere, also inside longer strings.
        places: the values at these places are hidden entirely.
        place: the place of the value.
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
    """A component's options with secrets hidden.

    Args:
        options: checked.
        schema: of the component's options.
        secrets: `Settings.secrets`.
    """
    hidden: dict[str, Any] = hide(options, secrets, frozenset(secret_places(options, schema, ())))
    return hidden
