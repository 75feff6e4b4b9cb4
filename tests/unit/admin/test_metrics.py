"""What `/metrics` says after requests of every kind."""

import subprocess

import pytest

from streamer.config.settings import AdminSettings
from streamer.connections.local import LocalConnections
from streamer.contracts.stores import Lease
from streamer.core.clock import SystemClock
from streamer.core.errors import Error, LeaseLost, TransitionRefused
from streamer.core.messages import ErrorBody
from streamer.core.records import RequestRecord
from streamer.engine.direct_requests import DirectRequests
from streamer.engine.refusals import send_refusal
from streamer.runtime.admin_port import observer_for, transport_parts
from streamer.runtime.assembly import open_service
from streamer.stores.memory import MemoryStore
from streamer.testing import ManualClock, RecordingLogger


def direct(action, outcome):
    return f'streamer_requests_total{{action="{action}",mode="direct",outcome="{outcome}"}}'


def queued(action, outcome):
    return f'streamer_requests_total{{action="{action}",mode="queued",outcome="{outcome}"}}'


async def test_direct_and_queued_requests_are_counted_by_action_and_outcome(admin):
    await admin.call({"action": "echo", "payload": 1}, {"action": "echo", "payload": 2})
    await admin.call({"action": "report", "payload": 1}, answers=2)
    samples = await admin.samples_until(lambda samples: samples[queued("report", "completed")] == 1)
    assert samples[direct("echo", "completed")] == 2
    assert samples[direct("echo", "failed")] == 0
    assert samples['streamer_request_duration_seconds_count{action="echo",mode="direct"}'] == 2
    assert samples['streamer_request_duration_seconds_count{action="report",mode="queued"}'] == 1
    assert samples['streamer_requests_queued_total{action="report"}'] == 1
    assert samples['streamer_attempts_total{action="report",outcome="completed"}'] == 1
    assert samples['streamer_action_estimate_seconds{action="report"}'] == 10
    assert samples['streamer_running{action="report"}'] == 0
    assert samples["streamer_worker_slots"] == 64
    assert samples["streamer_connections_opened_total"] == 2
    assert samples["streamer_received_messages_total"] == 3
    assert samples["streamer_sent_messages_total"] == 4
    assert samples["streamer_received_bytes_total"] > 90
    assert samples["streamer_sent_bytes_total"] > 200
    assert any(name.startswith("streamer_build_info{") for name in samples)
    assert samples["process_resident_memory_bytes"] > 0


async def test_connections_are_counted_by_how_they_ended(admin):
    await admin.call({"action": "echo", "payload": 1})
    samples = await admin.samples_until(lambda samples: 'streamer_connections_closed_total{code="1000"}' in samples)
    assert samples["streamer_connections"] == 0


async def test_refusals_are_counted_by_code_and_never_by_what_a_client_wrote(admin):
    messages = [{"action": f"made-up-{number}", "payload": 1} for number in range(500)]
    await admin.call(*messages, {"action": 7}, {"action": "echo", "payload": 1, "wait": "x"})
    samples = await admin.samples()
    refused = {name: value for name, value in samples.items() if name.startswith("streamer_requests_refused_total")}
    assert refused == {
        'streamer_requests_refused_total{action="_unknown",code="INVALID_ACTION"}': 500,
        'streamer_requests_refused_total{action="_unknown",code="VALIDATION_ERROR"}': 1,
        'streamer_requests_refused_total{action="echo",code="VALIDATION_ERROR"}': 1,
    }


async def test_ten_thousand_owners_and_unknown_actions_add_no_series(settings, components):
    """Each with requests that are queued and refused: every path that knows an owner's name."""
    observer = observer_for(settings.admin, SystemClock())
    async with open_service(settings, components, logger=RecordingLogger(), observer=observer) as service:
        parts = transport_parts(observer, service)

        class Peer:
            principal, address, running, post = None, "", 0, None

            def __init__(self, number):
                self.id, self.owner = f"conn_{number}", f"client:{number}"

            def send(self, data, /):
                pass

            def send_latest(self, name, data, final=False, /):
                pass

            def refused(self, count=1, /):
                pass

            def room(self):
                return None

        def speak(number):
            peer = Peer(number)
            parts["registry"].add(peer)
            for message in (b'{"action":"echo","payload":1}', b'{"action":"x%d","payload":1}' % number):
                parts["receiver"].receive(peer, message)
            parts["receiver"].disconnected(peer)
            parts["registry"].remove(peer)

        def series():
            counts = observer.counts
            return (
                len([name for name, _ in counts.declared()]), len(counts.refused), len(counts.errors),
                len(counts.store_calls), len(counts.closed), len(observer.connections.peers),
            )  # fmt: skip

        speak(0)
        before = series()
        for number in range(1, 10_000):
            speak(number)
        assert series() == before
        assert observer.counts.of("echo").direct["completed"] == 10_000
        assert observer.counts.messages_in == 20_000


async def test_off_is_what_it_was_before(settings, components):
    """Not one object in the path of a request is another than without the admin port."""
    off = AdminSettings()
    assert observer_for(off, SystemClock()) is None
    async with open_service(settings, components, logger=RecordingLogger()) as service:
        assert type(service.store) is MemoryStore
        assert type(service.router._direct) is DirectRequests
        assert service.router._refuse is service.router._submitter._refuse is send_refusal
        parts = transport_parts(None, service)
        assert parts == {"receiver": service.router, "registry": service.connections}
        assert type(service.connections) is LocalConnections


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
async def test_promtool_finds_nothing_to_complain_about(promtool, admin, accept):
    await admin.call({"action": "echo", "payload": 1}, {"action": "no", "payload": 1})
    await admin.call({"action": "report", "payload": 1}, answers=2)
    _, text = await admin.ask("/metrics", headers={"Accept": accept})
    if accept:
        assert text.endswith("# EOF\n")
        return
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


async def test_an_attempt_that_is_lost_retried_released_or_cancelled_is_counted_so(settings, components):
    observer = observer_for(settings.admin, SystemClock())
    observer.declare(["nap"])

    queue = observer.queue(MemoryStore())

    async def stored(name):
        now = SystemClock.now()
        record = RequestRecord(owner="o", id=name, action="nap", created_at=now, updated_at=now, due_at=now)
        assert await queue.enqueue(record) is None
        (claimed,) = (await queue.claim("w", 1, 30.0)).records
        return Lease(claimed.owner, claimed.id, claimed.fence)

    error = ErrorBody("TIMEOUT", "late", retryable=True)
    await queue.fail(await stored("retried"), seq=1, error=error, retry_at=SystemClock.now() + 3600)
    await queue.fail(await stored("failed"), seq=1, error=ErrorBody("OF_A_HANDLER", "no"))
    await queue.complete(await stored("completed"), seq=1, result=b"{}")
    await queue.release([await stored("released")])
    (again,) = (await queue.claim("w", 1, 30.0)).records
    cancelled = Lease("o", again.id, again.fence)
    await queue.cancel(("o", cancelled.id))
    with pytest.raises(LeaseLost):
        await queue.complete(cancelled, seq=1, result=b"{}")
    lost = await stored("lost")
    await queue._store.cancel(("o", "lost"))
    assert await queue.renew([lost], 30.0) == [lost]
    late = await stored("late")
    await queue._store.cancel(("o", "late"))
    with pytest.raises(LeaseLost):
        await queue.fail(late, seq=1, error=error)
    with pytest.raises(TransitionRefused):
        await queue.cancel(("o", "late"))
    with pytest.raises(Error):
        await queue.requeue(("o", "nothing"))
    counted = observer.counts.of("nap")
    assert counted.attempts == {
        "completed": 1, "failed": 1, "retried": 1, "released": 1, "lost": 2, "cancelled": 1,
    }  # fmt: skip
    assert counted.queued == {"completed": 1, "failed": 1, "cancelled": 1, "expired": 0, "abandoned": 0}
    assert observer.counts.errors == {("nap", "TIMEOUT"): 1, ("nap", "_other"): 1}
    assert sum(counted.wait_time.counts) == 6
    assert sum(counted.attempt_time.counts) == 7
    assert queue._claimed == {}
    assert observer.counts.store_errors == {"complete": 1, "fail": 1, "cancel": 1, "requeue": 1}
    assert await queue.get(("o", "retried")) is not None
    assert observer.counts.store_calls["get"].counts[0] + observer.counts.store_calls["get"].counts[1] == 1


async def test_what_ends_without_an_attempt_is_counted(settings):

    clock = ManualClock()
    observer = observer_for(settings.admin, clock)
    observer.declare(["nap"])
    queue = observer.queue(MemoryStore(clock))
    now = clock.now()
    expiring = RequestRecord(
        owner="o", id="expiring", action="nap", created_at=now, updated_at=now, due_at=now, expires_at=now + 1
    )
    last = RequestRecord(owner="o", id="last", action="nap", created_at=now, updated_at=now, due_at=now, max_attempts=1)
    await queue.enqueue(last)
    assert (await queue.enqueue(last)).same
    await queue.claim("w", 1, 5.0)
    await queue.enqueue(expiring)
    await clock.advance(60)
    claims = await queue.claim("w", 1, 5.0)
    assert len(claims.abandoned) == 2
    counted = observer.counts.of("nap")
    assert counted.queued == {"completed": 0, "failed": 0, "cancelled": 0, "expired": 1, "abandoned": 1}
    assert counted.stored == 2
    assert observer.last_claim == clock.monotonic()
