"""A child can be started again when every descriptor is in use."""

from __future__ import annotations

import subprocess
import sys

from streamer.subprocesses.descriptors import Spare

SOURCE = """
import asyncio, os, resource
from streamer.subprocesses import Child
from streamer.subprocesses.descriptors import raise_limit

async def main():
    resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
    raise_limit()
    taken = []
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        pass
    for _ in range(2):
        ended = asyncio.Event()
        child = Child("json:dumps", on_message=print, on_exit=ended.set)
        await child.start()
        await ended.wait()
        print(child.exit_status)

asyncio.run(main())
"""


def test_a_child_is_started_when_every_descriptor_is_in_use():
    done = subprocess.run([sys.executable, "-c", SOURCE], capture_output=True, text=True, check=True)
    # The function of the child is no handler of ours: it began, and that is what counts.
    assert len(done.stdout.split()) == 2


def test_nothing_is_held_until_it_is_asked_for():
    spare = Spare()
    with spare.lent():
        assert spare._held == []
    assert spare._held == []
    spare.hold(2)
    assert len(spare._held) == 2
    with spare.lent():
        assert spare._held == []
    assert len(spare._held) == 2
    spare.hold(0)
    with spare.lent():
        pass
    assert spare._held == []
