from __future__ import annotations

import subprocess
import sys

from streamer.core.ids import new_id

FORKING = """
import os
from streamer.core.ids import new_id
child = os.fork()
os.write(1, new_id("")[11:23].encode() + b"\\n")
if child:
    os.waitpid(child, 0)
"""


def test_ids_have_their_prefix_and_are_never_the_same():
    made = {new_id("req_") for _ in range(10_000)}
    assert len(made) == 10_000
    assert all(one.startswith("req_") and len(one) == len("req_") + 29 for one in made)


def test_ids_sort_by_the_milliseconds_they_were_made_in():
    made = [new_id("")[:11] for _ in range(1000)]
    assert made == sorted(made)


def test_a_forked_child_does_not_repeat_its_parents_ids():
    done = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True)
    mine, theirs = done.stdout.split()
    assert mine != theirs
