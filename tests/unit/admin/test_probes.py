"""Probes and metrics of a running service, over real sockets."""

import asyncio
import dataclasses
import os
import signal
import socket
import threading

import aiohttp
import pytest

from streamer.config.settings import BackendSettings, ComponentUse
from streamer.core.errors import PortInUse, StartError, StoreUnavailable
from streamer.stores.memory import MemoryStore

TOKEN = "t" * 40


async def test_a_service_that_works_is_alive_and_ready(admin):
    assert await admin.ask("/livez") == (200, "ok\n")
    assert await admin.ask("/readyz") == (200, "ok\n")
    status, text = await admin.ask("/readyz?verbose")
    assert status == 200
    names = [line.split(" (")[0] for line in text.splitlines()]
    assert names == ["[+]store ok", "[+]worker ok", "readyz check passed"]
    status, text = await admin.ask("/readyz?verbose&exclude=store&exclude=moon")
    assert status == 200
    assert text.splitlines()[0] == "[+]store excluded: ok"
    assert "[?]moon is not a check" in text.splitlines()


class ReadOnlyStore(MemoryStore):
    """Takes no write once the test says so."""

    broken = False

    async def keep(self, name, value, /, *, replace=False):
        if self.broken:
            raise StoreUnavailable("/data is read-only")
        return await super().keep(name, value, replace=replace)


async def test_a_store_that_takes_no_write_is_not_ready_but_alive(settings, start):
    store = ReadOnlyStore()
    admin_with_token = dataclasses.replace(settings.admin, token=TOKEN)
    settings = dataclasses.replace(settings, admin=admin_with_token)
    async with start(settings, store) as admin:
        store.broken = True
        assert await admin.ask("/readyz") == (503, "not ready\n")
        assert await admin.ask("/livez") == (200, "ok\n")
        status, text = await admin.ask("/readyz?verbose")
        assert status == 503
        assert "read-only" not in text
        assert "reason withheld" in text
        _, text = await admin.ask("/readyz?verbose", headers={"Authorization": f"Bearer {TOKEN}"})
        assert "/data is read-only" in text
        assert (await admin.ask("/readyz?exclude=store"))[0] == 200


async def test_it_is_not_ready_while_it_drains_and_its_ports_are_still_open(settings, start):
    patient = dataclasses.replace(settings, server=dataclasses.replace(settings.server, drain_timeout=60.0))
    async with start(patient) as admin:
        (accepted,) = await admin.call({"action": "nap", "payload": {}})
        assert accepted["type"] == "acknowledgment"
        await admin.samples_until(lambda samples: samples['streamer_running{action="nap"}'] == 1)
        assert (await admin.ask("/readyz"))[0] == 200
        os.kill(os.getpid(), signal.SIGTERM)
        await admin.logger.until("draining")
        assert await admin.ask("/readyz") == (503, "draining\n")
        _, text = await admin.ask("/readyz?verbose")
        assert "[-]shutdown: the service is draining" in text
        assert await admin.ask("/livez") == (200, "ok\n")
        assert (await admin.samples())["streamer_draining"] == 1
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with aiohttp.ClientSession() as session:
                await session.ws_connect(admin.service)
        assert refused.value.status == 503
        os.kill(os.getpid(), signal.SIGTERM)
        await admin.logger.until("stopped")


async def test_a_stuck_event_loop_is_not_alive_and_the_port_says_so(admin, monkeypatch):
    """The loop of this test is the service's: while it is held, a thread asks."""
    monkeypatch.setattr("streamer.admin.heartbeat.ALIVE", 0.2)
    answers = []

    def ask():
        async def both():
            async with aiohttp.ClientSession() as session:
                for path in ("/livez", "/readyz", "/metrics"):
                    async with session.get(f"{admin.url}{path}") as answer:
                        answers.append((answer.status, await answer.text()))

        threading.Event().wait(0.7)
        asyncio.run(both())

    thread = threading.Thread(target=ask)
    thread.start()
    await asyncio.sleep(0)
    thread.join(30)
    (alive, said), (ready, _), (scraped, _) = answers
    assert alive == 503
    assert said.startswith("the event loop has not turned for ")
    assert ready == 503
    assert scraped == 200
    await asyncio.sleep(0.6)
    assert (await admin.ask("/livez"))[0] == 200


async def test_every_answer_has_the_headers_that_keep_browsers_out(admin):
    for path in ("/livez", "/metrics", "/nothing"):
        headers = await admin.headers(path)
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers


async def test_what_is_refused(guarded):
    assert (await guarded.ask("/metrics"))[0] == 401
    assert (await guarded.headers("/metrics"))["WWW-Authenticate"] == "Bearer"
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert (await guarded.ask("/metrics", headers=right))[0] == 200
    assert (await guarded.ask("/livez"))[0] == 200
    assert (await guarded.ask("/livez", headers={"Host": "evil.example"}))[0] == 421
    assert (await guarded.ask("/nothing", headers=right))[0] == 404
    status, _ = await guarded.ask("/livez", "POST", headers=right)
    assert status == 405
    assert "GET" in (await guarded.headers("/livez", "POST", headers=right))["Allow"]


async def test_head_is_answered_as_get_without_a_body(admin):
    status, text = await admin.ask("/livez", "HEAD")
    assert (status, text) == (200, "")


async def test_a_port_that_is_taken_is_named_with_its_setting(settings, start):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        taken = dataclasses.replace(settings, admin=dataclasses.replace(settings.admin, port=port))
        with pytest.raises(PortInUse, match=r"stop the other program, or change admin\.port"):
            async with start(taken):
                pass


async def test_a_token_comes_from_a_file(settings, start, tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{TOKEN}\n")
    admin_settings = dataclasses.replace(settings.admin, token_file=path)
    async with start(dataclasses.replace(settings, admin=admin_settings)) as admin:
        assert (await admin.ask("/metrics"))[0] == 401
        assert (await admin.ask("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}))[0] == 200


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot be read: No such file or directory"), (b"short\n", "has 5 characters; it needs 32"),
     (b"\xff" * 40, "cannot be read: it is not text")],
)  # fmt: skip
async def test_a_token_file_of_no_use_is_refused_at_the_start(settings, start, tmp_path, content, told):
    path = tmp_path / "token"
    if content is not None:
        path.write_bytes(content)
    wrong = dataclasses.replace(settings, admin=dataclasses.replace(settings.admin, token_file=path))
    with pytest.raises(StartError, match=told):
        async with start(wrong):
            pass


async def test_a_missing_library_is_named_with_the_command_that_installs_it(settings, start, monkeypatch):
    monkeypatch.setattr("streamer.runtime.admin_port.find_spec", lambda name: None)
    with pytest.raises(StartError, match=r'pip install "streamer-router\[admin\]"'):
        async with start(settings):
            pass


async def test_the_store_may_be_a_file(settings, start, tmp_path):
    backends = BackendSettings(
        store=ComponentUse(name="sqlite", options={"path": str(tmp_path / "q.db"), "max_pending": "32MiB"})
    )
    async with start(dataclasses.replace(settings, backends=backends)) as admin:
        while (await admin.ask("/readyz"))[0] != 200:
            # The worker has not had its first answer yet.
            await asyncio.sleep(0.05)
        await admin.call({"action": "report", "payload": 1, "id": "one"}, answers=2)
        name = 'streamer_requests_total{action="report",mode="queued",outcome="completed"}'
        samples = await admin.samples_until(lambda samples: samples[name] == 1)
        assert samples['streamer_store_call_duration_seconds_count{operation="enqueue"}'] == 1
        assert samples['streamer_queue_wait_seconds_count{action="report"}'] == 1
