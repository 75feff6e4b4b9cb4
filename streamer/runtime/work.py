"""Runs queued requests whose connections other processes hold, until a signal stops it."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Coroutine, Mapping
from typing import Any

from streamer.config.settings import Settings
from streamer.contracts.components import Kind
from streamer.core.clock import Clock, SystemClock
from streamer.core.errors import StartError
from streamer.runtime.admin_port import admin_port, observer_for
from streamer.runtime.assembly import Components, Service, open_service
from streamer.runtime.lifecycle import Lifecycle, run_process
from streamer.subprocesses.descriptors import raise_limit


def work(
    settings: Settings,
    components: Components,
    *,
    logger: Any,
    clock: Clock | None = None,
    actions: Collection[str] = (),
) -> None:
    """Claims and runs until SIGTERM, SIGINT, SIGHUP or SIGQUIT, then drains; a second signal stops it at once.

    Args:
        settings: the file.
        components: by kind and full name, from the registry.
        logger: of the process.
        clock: time; by default the machine's.
        actions: only requests for these actions; all when empty.

    Raises:
        StreamerError: it could not start, with the reason on one line; or its store failed permanently.
    """
    raise_limit()
    run_process(_work(settings, components, logger, clock or SystemClock(), actions), logger)


async def _work(
    settings: Settings, components: Components, logger: Any, clock: Clock, actions: Collection[str]
) -> None:
    _require_several_processes(settings, components)
    lifecycle = Lifecycle(settings.server.drain_timeout, logger)
    observer = observer_for(settings.admin, clock)
    async with contextlib.AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            open_service(settings, components, logger=logger, clock=clock, actions=actions, observer=observer)
        )
        draining = lifecycle.stop.is_set
        await stack.enter_async_context(
            admin_port(observer, service, components, draining=draining, clock=clock, logger=logger)
        )
        await lifecycle.run(WorkerProcess(service, actions, logger), service.store)


class WorkerProcess:
    """A process without its own connections: it only runs queued requests.

    Args:
        service: the opened service.
        actions: that it runs; all when empty.
        logger: of the process.
    """

    def __init__(self, service: Service, actions: Collection[str], logger: Any) -> None:
        self._service = service
        self._actions = actions
        self._logger = logger

    def tasks(self) -> Mapping[str, Coroutine[Any, Any, Any]]:
        tasks: dict[str, Coroutine[Any, Any, Any]] = {"worker": self._service.worker.run()}
        if self._service.wake_ups is not None:
            tasks["wake-ups"] = self._service.wake_ups.run()
        return tasks

    def ready(self) -> None:
        actions = sorted(self._actions) or len(self._service.router.routes)
        self._logger.info("ready", actions=actions, worker=self._service.worker.name)

    def under_way(self) -> dict[str, int]:
        return {"running": len(self._service.worker.running)}

    def begin_drain(self) -> None:
        self._service.worker.pause()

    async def drain(self, queued: float, _direct: float) -> int:
        return await self._service.worker.drain(queued)

    async def close(self) -> None:
        await self._service.delivery.settle()


def _require_several_processes(settings: Settings, components: Components) -> None:
    """Refuses backends that belong to one process.

    Raises:
        StartError: one of them does not declare `several_processes`.
    """
    connections, store = settings.backends.connections.name, settings.backends.store.name
    if not components[Kind.CONNECTIONS, connections].several_processes:
        raise StartError(
            f"the connections {connections!r} can be reached by 'streamer run' only; 'streamer worker' needs "
            "connections that several processes can send to"
        )
    if not components[Kind.STORE, store].several_processes:
        raise StartError(
            f"the store {store!r} can be opened by one process only; 'streamer worker' needs a store that several "
            "processes can open"
        )
