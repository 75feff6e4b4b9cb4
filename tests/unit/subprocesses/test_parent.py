from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.service  # it starts processes

ECHO = """
    def main(channel):
        channel.send(b"up")
        while messages := channel.receive():
            channel.send(*messages)
"""
HANGS = """
    import threading
    def main(channel):
        channel.send(b"up")
        threading.Event().wait()
"""
CLOSES_AND_HANGS = """
    import threading
    def main(channel):
        channel.send(b"up")
        channel.receive()
        channel._socket.close()
        threading.Event().wait()
"""


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_messages_go_both_ways_whole_and_in_order(run, target):
    async def test(watch):
        echo = await watch(target(ECHO)).start()
        messages = [b"", b"x", b"y" * 3_000_000, *(b"%d" % number for number in range(500))]
        for message in messages:
            echo.child.send(message)
        assert await echo.next() == b"up"
        assert [await echo.next() for _ in messages] == messages

    run(test)


def test_the_pid_and_the_exit_status_are_known(run, target):
    async def test(watch):
        watched = watch(target("def main(channel): raise SystemExit(int(channel.receive()[0]))"))
        assert watched.child.exit_status is None
        with pytest.raises(AssertionError, match="not been started"):
            _ = watched.child.pid
        await watched.start()
        assert alive(watched.child.pid)
        assert watched.child.exit_status is None
        await watched.child.close(0.0)
        assert watched.child.exit_status == -signal.SIGKILL

    run(test)


def test_the_death_of_a_child_is_told_once(run, target):
    async def test(watch):
        watched = await watch(target(ECHO)).start()
        assert await watched.next() == b"up"
        os.kill(watched.child.pid, signal.SIGKILL)
        assert await watched.next() is None
        assert watched.child.exit_status == -signal.SIGKILL
        watched.child.send(b"lost")
        watched.child.kill()
        await watched.child.close()
        assert watched.said.empty()

    run(test)


def test_a_child_that_ends_by_itself_is_known_to_have_and_could_tidy_up(run, target, tmp_path):
    async def test(watch):
        watched = await watch(
            target(f"""
                import atexit, pathlib
                def main(channel):
                    atexit.register(pathlib.Path({str(tmp_path / "tidy")!r}).touch)
                    raise SystemExit(3)
            """)
        ).start()
        assert await watched.next() is None
        assert watched.child.exit_status == 3
        assert (tmp_path / "tidy").exists()

    run(test)


def test_a_child_that_ends_but_for_a_thread_is_gone(run, target):
    async def test(watch):
        watched = await watch(
            target("""
                import threading
                def main(channel):
                    threading.Thread(target=threading.Event().wait).start()
                    raise SystemExit(3)
            """)
        ).start()
        assert await watched.next() is None
        assert not alive(watched.child.pid)
        assert watched.child.exit_status == -signal.SIGKILL

    run(test)


def test_what_a_child_said_last_is_heard_before_its_end(run, target):
    async def test(watch):
        watched = await watch(target("def main(channel): channel.send(*[b'%d' % n for n in range(1000)])")).start()
        said = [await watched.next() for _ in range(1001)]
        assert said == [*(b"%d" % number for number in range(1000)), None]

    run(test)


def test_a_child_that_closed_its_socket_and_lives_on_is_gone(run, target):
    async def test(watch):
        watched = await watch(target(CLOSES_AND_HANGS)).start()
        assert await watched.next() == b"up"
        watched.child.send(b"close it")
        assert await watched.next() is None
        assert not alive(watched.child.pid)

    run(test)


def test_kill_ends_a_child_without_a_word(run, target):
    async def test(watch):
        watched = await watch(target(HANGS)).start()
        assert await watched.next() == b"up"
        watched.child.kill()
        assert not alive(watched.child.pid)
        watched.child.kill()
        await watched.child.close()
        watched.child.send(b"lost")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert watched.said.empty()

    run(test)


def test_a_child_that_was_never_started_can_be_killed_and_closed(run, target):
    async def test(watch):
        watched = watch(target(HANGS))
        watched.child.send(b"lost")
        watched.child.kill()
        await watched.child.close()
        assert watched.said.empty()

    run(test)


def test_close_lets_a_child_finish_what_it_was_sent(run, target, tmp_path):
    async def test(watch):
        watched = await watch(
            target(f"""
                import atexit, pathlib
                done = []
                def main(channel):
                    atexit.register(lambda: pathlib.Path({str(tmp_path / "done")!r}).write_bytes(b",".join(done)))
                    while messages := channel.receive():
                        done.extend(messages)
            """)
        ).start()
        watched.child.send(b"one")
        watched.child.send(b"two")
        await watched.child.close()
        assert watched.child.exit_status == 0
        assert (tmp_path / "done").read_bytes() == b"one,two"
        assert watched.said.empty()

    run(test)


@pytest.mark.parametrize("hanging", [HANGS, CLOSES_AND_HANGS], ids=["before its end", "on its way out"])
def test_close_kills_a_child_that_hangs_when_the_time_is_over(run, target, hanging):
    async def test(watch):
        watched = await watch(target(hanging)).start()
        assert await watched.next() == b"up"
        await watched.child.close(0.2)
        assert watched.child.exit_status == -signal.SIGKILL
        assert watched.said.empty()

    run(test)


def test_close_may_be_called_twice_at_one_time(run, target):
    async def test(watch):
        watched = await watch(target(ECHO)).start()
        await asyncio.gather(watched.child.close(), watched.child.close())
        assert watched.child.exit_status == 0

    run(test)


def test_close_that_is_cancelled_leaves_no_child(run, target):
    async def test(watch):
        watched = await watch(target(HANGS)).start()
        assert await watched.next() == b"up"
        closing = asyncio.create_task(watched.child.close(3600))
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert not alive(watched.child.pid)

    run(test)


def test_a_message_leaves_at_once_in_one_write(run, target):
    async def test(watch):
        watched = await watch(target(ECHO)).start()
        written = []
        transport = watched.child._transport

        class Recording:
            """Counts writes; everything else is the real transport's, which a closing child would need."""

            def write(self, data):
                written.append(data)
                transport.write(data)

            def __getattr__(self, name):
                return getattr(transport, name)

        watched.child._transport = Recording()
        for number, message in enumerate((b"one", b"two", b"three"), start=1):
            watched.child.send(message)
            assert len(written) == number
        assert [await watched.next() for _ in range(4)] == [b"up", b"one", b"two", b"three"]

    run(test)


def test_a_machine_that_refuses_a_process_is_an_error_and_leaves_no_socket(run, target, monkeypatch):
    async def test(watch):
        before = len(list(Path("/proc/self/fd").iterdir()))
        monkeypatch.setattr(sys, "executable", "/nowhere/python")
        with pytest.raises(FileNotFoundError):
            await watch(target(ECHO)).start()
        assert len(list(Path("/proc/self/fd").iterdir())) == before

    run(test)


def test_a_start_that_is_cut_off_leaves_no_child_and_no_socket(run, target, monkeypatch):
    async def test(watch):
        before = len(list(Path("/proc/self/fd").iterdir()))
        watched = watch(target(HANGS))
        loop = asyncio.get_running_loop()

        class CutOff:
            """The loop, but for a connection that never comes about."""

            def __getattr__(self, name):
                return getattr(loop, name)

            async def create_connection(self, *_, **__):
                raise asyncio.CancelledError

        monkeypatch.setattr(asyncio, "get_running_loop", CutOff)
        with pytest.raises(asyncio.CancelledError):
            await watched.child.start()
        monkeypatch.undo()
        assert not alive(watched.child.pid)
        assert len(list(Path("/proc/self/fd").iterdir())) == before

    run(test)


def test_a_child_has_the_environment_and_the_import_path_of_its_parent(run, target, monkeypatch):
    async def test(watch):
        monkeypatch.setenv("STREAMER_TEST_WORD", "hello")
        watched = await watch(
            target("""
                import os, sys
                def main(channel):
                    channel.send(os.environ["STREAMER_TEST_WORD"].encode(), *(path.encode() for path in sys.path))
            """)
        ).start()
        assert await watched.next() == b"hello"
        theirs = set()
        while (path := await watched.next()) is not None:
            theirs.add(path.decode())
        assert set(filter(None, sys.path)) <= theirs

    run(test)


def test_a_killed_parent_takes_its_children_along(target, tmp_path):
    script = f"""
import asyncio, sys
sys.path[:] = {sys.path!r}
from streamer.subprocesses import Child
async def main():
    child = Child({target(ECHO)!r}, on_message=lambda message: print(child.pid, flush=True), on_exit=lambda: None)
    await child.start()
    await asyncio.Event().wait()
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
        # The pipe was the child's stdout too: its end is the end of the child.
        assert parent.stdout.read() == b""
    assert pid != parent.pid
