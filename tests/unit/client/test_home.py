"""A client used where its connection is not says so at once: in another loop, after a fork, in its own thread."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading

import pytest

from streamer.client import ConnectionLost, RequestHandle, StreamerClient, SyncStreamerClient


async def echo(service):
    while True:
        request = await service.receive()
        await service.answer(request, request.get("payload"))


async def reporting(service):
    while True:
        request = await service.receive()
        await service.acknowledge(request)
        await service.progress(request, 1, 0)


async def mute(service):
    while True:
        await service.receive()


def test_a_client_that_was_left_open_in_a_loop_that_has_ended_says_so_and_can_be_closed_and_opened(fake_in_thread):
    client = StreamerClient(fake_in_thread(echo))

    async def leave_open():
        await client.connect()
        waiting = asyncio.create_task(client.request("do", 1))
        assert await waiting == 1

    async def hang_up():
        # Only so that no socket is left behind; the client does not know that it is closed.
        client._connection.socket.drop()
        while client.connected:
            await asyncio.sleep(0)

    async def use():
        for use in (client.connect(), client.request("do"), client.submit("do"), client.resume("r")):
            with pytest.raises(RuntimeError, match="belongs to an event loop that has ended"):
                await use
        await client.close()
        with pytest.raises(ConnectionLost, match="closed by this client"):
            await client.request("do")
        async with client:
            assert await client.request("do", 2) == 2

    loop = asyncio.new_event_loop()
    loop.run_until_complete(leave_open())
    loop.run_until_complete(hang_up())
    loop.close()
    asyncio.run(use())


def test_a_client_of_another_running_loop_says_so_and_is_not_closed_from_there(fake_in_thread):
    client = StreamerClient(fake_in_thread(echo))
    opened, done = threading.Event(), threading.Event()

    async def live():
        async with client:
            handle = await client.submit("do", 1)
            handles.append(handle)
            opened.set()
            await asyncio.to_thread(done.wait)
            assert await client.request("do", 2) == 2

    async def elsewhere():
        for use in (client.request("do"), client.close()):
            with pytest.raises(RuntimeError, match="belongs to another event loop; create one for each loop"):
                await use

    handles: list[RequestHandle] = []
    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    opened.wait()
    asyncio.run(elsewhere())
    done.set()
    thread.join()
    assert not client.connected


def test_a_handle_waited_for_in_another_loop_says_so():
    async def make():
        return RequestHandle("r", b"{}")

    handle = asyncio.run(make())
    with pytest.raises(RuntimeError, match="'r' belongs to another event loop"):
        asyncio.run(handle.result())


def test_a_client_that_was_closed_may_be_used_in_the_next_loop(fake_in_thread):
    client = StreamerClient(fake_in_thread(echo))

    async def use():
        async with client:
            return await asyncio.gather(*(client.request("do", n) for n in range(3)))

    assert [asyncio.run(use()) for _ in range(2)] == [[0, 1, 2], [0, 1, 2]]


FORKED = """
import asyncio, os, sys
from streamer.client import StreamerClient, SyncStreamerClient

url = sys.argv[1]
blocking = SyncStreamerClient(url)
blocking.connect()
handle = blocking.submit("do", 1)
handle.result()
reports = blocking.stream("do", 1)
next(reports)
lazy = SyncStreamerClient(url)
pid = os.fork()
if pid == 0:
    def said(use):
        try:
            return use() and "answered"
        except RuntimeError as error:
            return "before a fork" in str(error) and "refused"
    try:
        uses = [
            lambda: blocking.request("do", 1, timeout=5),
            lambda: blocking.request("do", 1, timeout=5, on_progress=print),
            lambda: blocking.submit("do", 1),
            lambda: list(blocking.stream("do", 1)),
            blocking.connect,
            blocking.ping,
            lambda: list(reports),
            handle.acknowledged,
        ]
        print([said(use) for use in uses])
        blocking.close()
        print(lazy.request("do", 2), flush=True)
        lazy.close()
        with SyncStreamerClient(url) as new:
            print(new.request("do", 3), flush=True)
    finally:
        os._exit(0)
os.waitpid(pid, 0)
print(blocking.request("do", 4), flush=True)
blocking.close()
"""


def run(program, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")},
    )
    return done.returncode, done.stdout.split("\n"), done.stderr


def test_a_blocking_client_that_was_open_before_a_fork_says_so_in_the_child_and_goes_on_in_the_parent(fake_in_thread):
    status, said, complaints = run(FORKED, fake_in_thread(echo))
    assert (status, complaints) == (0, "")
    assert said == [str(["refused"] * 8), "2", "3", "4", ""]


def test_a_program_ends_though_its_blocking_client_is_open(fake_in_thread):
    program = """
import sys
from streamer.client import SyncStreamerClient
client = SyncStreamerClient(sys.argv[1])
handle = client.submit("do", 1)
print(client.connected)
"""
    assert run(program, fake_in_thread(mute)) == (0, ["True", ""], "")


def test_a_program_ends_though_a_stream_is_left_and_clients_are_closed_as_python_ends(fake_in_thread):
    program = """
import sys
from streamer.client import SyncStreamerClient

class Owner:
    def __init__(self):
        self.client = SyncStreamerClient(sys.argv[1])
        self.client.connect()

    def __del__(self):
        try:
            self.client.request("do")
        except RuntimeError as error:
            sys.stdout.write(f"{error}\\n")
        self.client.close()

owner = Owner()
reports = SyncStreamerClient(sys.argv[1]).stream("do")
next(reports)
"""
    said = "This SyncStreamerClient is used while Python shuts down, which has stopped its connection's thread"
    assert run(program, fake_in_thread(reporting)) == (0, [said, ""], "")


def test_a_callback_that_uses_its_own_blocking_client_is_told_instead_of_waiting_for_itself(fake_in_thread):
    said = []

    def use(state):
        if state.name == "open":
            for own in (lambda: client.request("do", 1), client.connect, client.close):
                try:
                    own()
                except RuntimeError as error:
                    said.append(str(error))

    client = SyncStreamerClient(fake_in_thread(echo), on_state_change=use)
    assert [client.request("do", n) for n in range(2)] == [0, 1]
    client.close()
    assert len(said) == 3
    assert all("would wait forever" in one for one in said)


def test_the_first_request_opens_a_blocking_client_whichever_thread_makes_it(fake_in_thread):
    client = SyncStreamerClient(fake_in_thread(echo))
    answers = []
    threads = [threading.Thread(target=lambda n=n: answers.append(client.request("do", n))) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.close()
    assert sorted(answers) == list(range(8))


def test_a_blocking_token_function_is_given_up_in_time_and_awaited_again(fake_in_thread):
    free, calls = threading.Event(), []

    def bring():
        calls.append(threading.current_thread())
        free.wait()
        return "t"

    with pytest.raises(TimeoutError):
        SyncStreamerClient(fake_in_thread(echo), token=bring, open_timeout=0.02, max_reconnect_delay=0.01).request(
            "do", 1, timeout=0.3
        )
    assert len(calls) == 1
    client = SyncStreamerClient(fake_in_thread(echo), token=bring, max_reconnect_delay=0.01, open_timeout=10)
    threading.Timer(0.05, free.set).start()
    assert client.request("do", 1, timeout=60) == 1
    client.close()


@pytest.mark.parametrize("problem", [ValueError("offline"), StopIteration(), SystemExit(3), KeyboardInterrupt()])
def test_whatever_a_blocking_token_function_raises_it_is_asked_again(fake_in_thread, problem, caplog):
    left = [problem]

    def bring():
        if left:
            raise left.pop()

        async def later():
            return "t"

        return later()

    client = SyncStreamerClient(fake_in_thread(echo), token=bring, max_reconnect_delay=0.01)
    assert client.request("do", 1, timeout=60) == 1
    client.close()
    assert type(problem).__name__ in caplog.text


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), -float("inf")])
async def test_a_timeout_that_is_no_time_is_refused_and_nothing_sent(fake, timeout):
    arrived = []

    async def script(service):
        arrived.append(await service.receive())

    async with StreamerClient(await fake(script)) as client:
        with pytest.raises(ValueError, match="timeout must be above 0 seconds"):
            await client.request("do", timeout=timeout)
    assert arrived == []


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"id": "x" * 129}, ValueError, "id must be 1 to 128 printable characters"),
        ({"id": "a\nb"}, ValueError, "id must be 1 to 128 printable characters"),
        ({"id": 5}, TypeError, "id must be a string"),
        ({"wait": float("nan")}, ValueError, "wait must be zero or more seconds"),
        ({"wait": float("inf")}, ValueError, "wait must be zero or more seconds"),
    ],
)
async def test_what_the_service_could_refuse_without_a_name_only_is_refused_here(fake, options, kind, words):
    """An error that names no request would end none, while others wait."""
    async with StreamerClient(await fake(mute)) as client:
        for _ in range(2):
            await client.submit("do")
        with pytest.raises(kind, match=words):
            await client.submit("do", **options)
        with pytest.raises(kind, match=words):
            await client.request("do", timeout=30, **options)


async def test_an_infinite_timeout_is_none_and_a_text_is_refused(fake):
    async with StreamerClient(await fake(echo)) as client:
        assert await client.request("do", 1, timeout=float("inf")) == 1
        with pytest.raises(TypeError, match="must be a number of seconds"):
            await client.request("do", timeout="5s")


@pytest.mark.parametrize("client", [StreamerClient, SyncStreamerClient])
@pytest.mark.parametrize("name", ["open_timeout", "ping_interval", "max_reconnect_delay", "max_message_size"])
def test_an_option_that_is_no_time_or_size_is_refused_by_name(client, name):
    for odd in (0, -1):
        with pytest.raises(ValueError, match=f"{name} must be above 0"):
            client("ws://h/ws", **{name: odd})
    for odd in ("5s", True, [], float("nan"), float("inf")):
        with pytest.raises((TypeError, ValueError), match=f"{name} must be"):
            client("ws://h/ws", **{name: odd})


FORKED_LOOP = """
import asyncio, os, sys
from streamer.client import StreamerClient

client = StreamerClient(sys.argv[1])
loop = asyncio.new_event_loop()
loop.run_until_complete(client.connect())
pid = os.fork()
if pid == 0:
    try:
        loop.run_until_complete(client.request("do", 1))
    except RuntimeError as error:
        print(error, flush=True)
    finally:
        os._exit(0)
os.waitpid(pid, 0)
print(loop.run_until_complete(client.request("do", 2)))
loop.run_until_complete(client.close())
"""


def test_a_client_in_a_loop_that_was_forked_says_so_and_sends_nothing_over_the_others_connection(fake_in_thread):
    url = fake_in_thread(echo)
    done = subprocess.run(
        [sys.executable, "-c", FORKED_LOOP, url], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout.splitlines() == [
        "This StreamerClient was used before a fork, in another process; create a new one in each process",
        "2",
    ]
