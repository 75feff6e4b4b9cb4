"""structlog is loaded without rich, unless something has loaded one of them before."""

import importlib
import sys

import pytest

from streamer.runtime import lean_structlog


@pytest.fixture
def without(monkeypatch):
    """Forgets what was loaded of a library until the test is over."""

    def forget(*libraries):
        for name in list(sys.modules):
            if name.partition(".")[0] in libraries:
                monkeypatch.delitem(sys.modules, name)

    yield forget
    monkeypatch.undo()
    importlib.reload(lean_structlog)


def test_rich_is_not_loaded_and_can_be_loaded_later(without):
    without("structlog", "rich")
    made = importlib.reload(lean_structlog).structlog
    assert made.dev.rich is None
    assert "rich" not in sys.modules
    assert importlib.import_module("rich").__name__ == "rich"


@pytest.mark.parametrize("libraries", [(), ("structlog",)])
def test_what_is_loaded_already_stays_as_it_is(without, libraries):
    rich = importlib.import_module("rich")
    structlog = importlib.import_module("structlog")
    without(*libraries)
    made = importlib.reload(lean_structlog).structlog
    assert (made is structlog) == (not libraries)
    assert sys.modules["rich"] is rich
