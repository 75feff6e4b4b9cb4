"""Resolves the references of a JSON Schema. Loaded only for schemas with references, because its library is slow to
import.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from referencing import Registry, Resource
from referencing.exceptions import CannotDetermineSpecification, Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with


class Resolver:
    """Resolves references from one place in a schema.

    Args:
        resolver: of referencing, at that place.
    """

    def __init__(self, resolver: Any) -> None:
        self._resolver = resolver

    @classmethod
    def of(cls, schema: Any, resources: Mapping[str, Any], base: str) -> Resolver:
        """For the root of a schema.

        Args:
            schema: the whole schema.
            resources: the targets of its references, by URI.
            base: of its relative references.
        """
        registry: Registry[Any] = Registry().with_resources(
            (uri, _resource(one)) for uri, one in {**resources, base: schema}.items()
        )
        return cls(registry.resolver(base_uri=base).in_subresource(_resource(schema)))

    def inside(self, schema: Any) -> Resolver:
        """For a part with its own `$id`."""
        return Resolver(self._resolver.in_subresource(_resource(schema)))

    def lookup(self, reference: str) -> tuple[Any, Resolver] | None:
        """The target of a reference, and the place from which the target's references are resolved; None when it does
        not exist.
        """
        try:
            found = self._resolver.lookup(reference)
        except Unresolvable:
            return None
        return found.contents, Resolver(found.resolver)


def _resource(schema: Any) -> Resource[Any]:
    try:
        return Resource.from_contents(schema, default_specification=DRAFT202012)
    except CannotDetermineSpecification:
        return specification_with("", default=DRAFT202012).create_resource(schema)
