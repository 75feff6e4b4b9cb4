"""The code of *Write connections* runs as it is printed."""

from __future__ import annotations

import contextlib
import re
import textwrap
from pathlib import Path

import pytest
from in_process.hub import InProcessBus, MemorySubscriptions

from streamer import Component
from streamer.contracts.components import BuildContext, Kind
from streamer.runtime.component_factory import missing_members, protocols_of
from streamer.testing import BusConformance, SubscriptionsConformance

PAGE = (Path(__file__).parents[3] / "docs/how-to/write-connections.md").read_text()
FACTORY, COMPONENT, TESTS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


class MyDatabase:
    """Nothing: bus and subscriptions of the example are in this process."""

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, _url):
        yield cls()


@pytest.fixture
def names():
    return {
        "MyDatabase": MyDatabase,
        "MyBus": lambda _database: InProcessBus(),
        "MySubscriptions": lambda _database, *, clock: MemorySubscriptions(clock),
        "Component": Component,
        "Kind": Kind,
        "options": {"type": "object"},
    }


async def test_its_component_makes_what_it_declares(names, tmp_path):
    exec(FACTORY, names)
    exec(f"def declared():\n{textwrap.indent(textwrap.dedent(COMPONENT), '    ')}", names)
    (component,) = names["declared"]()
    async with component.factory({"url": "db:"}, BuildContext(base_dir=tmp_path)) as made:
        assert missing_members(made, *protocols_of(component)) == []
        assert len(made) == 0


def test_its_tests_are_those_of_the_suites(names):
    exec(TESTS, names)
    assert issubclass(names["TestMySubscriptions"], SubscriptionsConformance)
    assert issubclass(names["TestMyBus"], BusConformance)
