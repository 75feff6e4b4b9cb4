"""The thread of the admin port."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from streamer.admin.guard import Guard
from streamer.admin.server import AdminServer
from streamer.testing import RecordingLogger


async def test_it_closes_although_functions_of_handlers_have_all_threads_of_the_loop():
    goes_on = threading.Event()
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    left = asyncio.get_running_loop().run_in_executor(None, goes_on.wait)
    server = AdminServer({}, Guard(None, []), host="127.0.0.1", port=0, logger=RecordingLogger())
    assert await server.start() > 0
    try:
        async with asyncio.timeout(20):
            await server.close()
    finally:
        goes_on.set()
    await left
    assert not any(thread.name == "streamer-admin" and thread.is_alive() for thread in threading.enumerate())
    # A second time there is nothing to close.
    await server.close()
