"""Every test is in one lane, by what it needs on the machine."""

from __future__ import annotations

import tomllib
from pathlib import Path
from types import SimpleNamespace

import lanes
import pytest

ROOT = Path(__file__).parents[2]


def test_the_lanes_are_markers_and_in_the_readme():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    assert set(lanes.LANES) <= {marker.partition(":")[0] for marker in declared}
    assert all(f"`-m {name}`" in (ROOT / "README.md").read_text() for name in lanes.LANES)


def test_each_test_is_in_exactly_one_lane(request):
    for item in request.session.items:
        assert len({marker.name for marker in item.iter_markers()} & set(lanes.LANES)) == 1, item.nodeid


@pytest.mark.parametrize(
    ("place", "marks", "fixtures", "parameters", "lane"),
    [
        ("tests/unit/test_it.py", [], ["tmp_path"], {}, "unit"),
        ("plugins/demo/tests/test_it.py", [], [], {}, "unit"),
        ("tests/unit/test_it.py", ["service"], ["tmp_path"], {}, "service"),
        ("tests/unit/test_it.py", [], ["ministack"], {}, "aws"),
        ("tests/unit/test_it.py", ["service"], ["ministack"], {}, "aws"),
        ("tests/unit/test_it.py", [], ["node"], {}, "browser"),
        ("tests/integration/test_it.py", [], ["start_service"], {}, "service"),
        ("tests/acceptance/test_it.py", [], ["house"], {"house": "dynamodb"}, "aws"),
        ("tests/conversations/test_it.py", [], ["home"], {"home": "sqlite", "make": "python"}, "service"),
        ("tests/conversations/test_it.py", [], ["home"], {"home": "sqlite", "make": "javascript"}, "browser"),
        ("tests/conversations/test_it.py", [], ["home"], {"home": "aws-processes", "make": "ws"}, "aws"),
    ],
)
def test_what_a_test_needs_decides(place, marks, fixtures, parameters, lane):
    item = SimpleNamespace(
        path=ROOT / place,
        fixturenames=fixtures,
        callspec=SimpleNamespace(params=parameters),
        get_closest_marker=lambda name: name if name in marks else None,
    )
    assert lanes.lane_of(item) == lane
