from __future__ import annotations

import inspect
import subprocess
import sys

from streamer.contracts.components import Kind
from streamer.plugins import hookspecs


def test_every_kind_has_one_hook_that_may_return_it():
    returned = [kind for kinds in hookspecs.KINDS.values() for kind in kinds]
    assert sorted(returned) == sorted(Kind)


def test_every_hook_says_what_comes_back():
    for name in hookspecs.KINDS:
        hook = getattr(hookspecs, name)
        assert "Components of kind" in inspect.getdoc(hook)
        assert hook() == []


def test_nothing_outside_this_package_needs_pluggy():
    code = "import sys, streamer, streamer.contracts.components; assert 'pluggy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
