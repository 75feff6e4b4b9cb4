"""What the references of a JSON Schema lead to. Loaded only for schemas that have some: its library loads slowly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from referencing import Registry, Resource
from referencing.exceptions import CannotDetermineSpecification, Unresolvable
from referencing.jsonschema import DRAFT202012, specification_with


class Resolver:
    """Looks up references from one place in a schema.

    Args:
        resolver: of referencing, at that place.
    """

    def __init__(self, resolver: Any) -> None:
        self._resolver = resolver

    @classmethod
    def of(cls, schema: Any, resources: Mapping[str, Any], base: str) -> Resolver:
        """From the top of a schema.

        Args:
            schema: the whole.
            resources: what its references may name, by URI.
            base: what its relative references are relative to.
        """
        registry: Registry[Any] = Registry().with_resources(
            (uri, _resource(one)) for uri, one in {**resources, base: schema}.items()
        )
        return cls(registry.resolver(base_uri=base).in_subresource(_resource(schema)))

    def inside(self, schema: Any) -> Resolver:
        """From within a part that has an `$id` of its own."""
        return Resolver(self._resolver.in_subresource(_resource(schema)))

    def lookup(self, reference: str) -> tuple[Any, Resolver] | None:
        """The schema that a reference leads to, and from where its own are looked up; None when it leads nowhere."""
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
