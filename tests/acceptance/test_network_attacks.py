"""Attacks on the socket and on what comes over it, each against a real service: it goes on serving everybody else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import websockets

GUARD = 60.0
"""Seconds after which something that is waited for has failed; nothing is expected to take nearly as long."""
CONFIG = """
version: 1
server: {{port: 0, {server}}}
backends: {{store: {{use: memory}}}}
logs: {{format: json}}
middleware: [{{use: access_log}}]
actions:
  echo: {{handler: echo}}
{actions}
"""
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
TEXT, CLOSE, PING = 1, 8, 9


@pytest.fixture
def serve(start_service: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Starts a service; in the end it must stop in peace, with neither a traceback nor an error in its log."""
    started: list[Any] = []

    def start(server: str = "host: 127.0.0.1", actions: str = "") -> Any:
        started.append(start_service(CONFIG.format(server=server, actions=actions)))
        return started[-1]

    yield start
    for service in started:
        ends_in_peace(service)


@pytest.fixture(scope="module")
def shared(start_shared_service: Callable[..., Any]) -> Iterator[Any]:
    """One service for all attacks that need no settings of their own: each must leave it to the next as it was."""
    schemas = {f"schema-{number}": schema for number, (schema, _) in enumerate(SCHEMAS.values())}
    actions = "\n".join(
        f"  {name}: {{handler: echo, schema: {json.dumps(schema)}}}" for name, schema in {**schemas, **NUMBERS}.items()
    )
    service = start_shared_service(
        CONFIG.format(server="max_message_size: 256KiB, allowed_origins: ['https://app.example.com']", actions=actions)
    )
    yield service
    ends_in_peace(service)


def ends_in_peace(service: Any) -> None:
    assert service.stop() == 0
    assert "Traceback" not in "".join(service.raw)
    assert not [entry for entry in service.log if entry.get("level") == "error"], service.log


def address(service: Any) -> tuple[str, int]:
    parts = urlsplit(service.url)
    return (parts.hostname, parts.port)


async def still_serves(service: Any, **options: Any) -> None:
    """An honest client connects, asks and is answered."""
    async with websockets.connect(service.url, **options) as client:
        assert await asked(client) == "hello"


async def asked(client: Any) -> Any:
    await client.send('{"action": "echo", "payload": "hello"}')
    async with asyncio.timeout(GUARD):
        return json.loads(await client.recv())["data"]["echo"]


def frame(payload: bytes = b"", opcode: int = TEXT, *, first: int = 0x80, size: int | None = None) -> bytes:
    """A client's frame; `first` sets the bits before the opcode, `size` announces another length than there is."""
    length = len(payload) if size is None else size
    if length < 126:
        head = bytes((first | opcode, 0x80 | length))
    elif length < 65536:
        head = bytes((first | opcode, 0x80 | 126)) + struct.pack("!H", length)
    else:
        head = bytes((first | opcode, 0x80 | 127)) + struct.pack("!Q", length)
    # A mask of zeros is a mask.
    return head + bytes(4) + payload


async def opened(service: Any, *, upgraded: bool = True, receive_buffer: int | None = None) -> Any:
    """A raw connection, after its handshake unless told otherwise."""
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    await asyncio.get_running_loop().sock_connect(sock, address(service))
    reader, writer = await asyncio.open_connection(sock=sock)
    if upgraded:
        writer.write(UPGRADE + b"\r\n")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    return reader, writer


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server ends the connection; a reset is an end like another."""
    received = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(GUARD):
            while piece := await reader.read(65536):
                received += piece
    return received


def memory(service: Any) -> int:
    """Resident bytes of the service's process."""
    return int(Path(f"/proc/{service.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def descriptors() -> Iterator[int]:
    """How many files this process may have open, raised as far as it goes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def idle() -> Iterator[Callable[[Any, int], list[socket.socket]]]:
    """Sockets that connect and say nothing."""
    made: list[socket.socket] = []

    def connect(service: Any, count: int) -> list[socket.socket]:
        made.extend(socket.create_connection(address(service), timeout=GUARD) for _ in range(count))
        return made

    yield connect
    for sock in made:
        sock.close()


# Handshakes


async def test_ten_thousand_idle_sockets_from_one_address_keep_nobody_out(
    serve: Any, idle: Any, descriptors: int
) -> None:
    service = serve()
    before = memory(service)
    # As many as this machine gives one process, up to ten thousand.
    await asyncio.to_thread(idle, service, min(10_000, descriptors - 500))
    await still_serves(service)
    await still_serves(service, local_addr=("127.0.0.2", 0))
    held = sum(1 for _ in Path(f"/proc/{service.pid}/fd").iterdir())
    assert held < 2048 + 100
    assert memory(service) - before < 64 * 1024 * 1024


async def test_when_the_service_runs_out_of_descriptors_idle_sockets_make_room(serve: Any, idle: Any) -> None:
    service = serve()
    resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (128, 128))
    await asyncio.to_thread(idle, service, 1000)
    for _ in range(20):
        await still_serves(service)


async def test_handshakes_that_come_byte_by_byte_end_in_their_time_and_hold_nobody_up(serve: Any) -> None:
    service = serve("handshake_timeout: 1s")
    connections = [await opened(service, upgraded=False) for _ in range(100)]

    async def dawdle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            for byte in UPGRADE * 1000:
                writer.write(bytes((byte,)))
                await writer.drain()
                await asyncio.sleep(0.02)
                if reader.at_eof():
                    return

    dawdling = [asyncio.create_task(dawdle(*connection)) for connection in connections]
    async with asyncio.timeout(GUARD):
        while not all(task.done() for task in dawdling):
            await still_serves(service)
    for reader, writer in connections:
        assert b"101" not in await rest(reader)
        writer.close()


@pytest.mark.parametrize("sent", [b"", b"GET /ws", UPGRADE + b"\r\n", UPGRADE + b"\r\n" + b"\x81"], ids=[
    "nothing", "half a request", "a request", "a request and half a frame"])  # fmt: skip
async def test_connections_that_are_reset_leave_nothing_behind(shared: Any, sent: bytes) -> None:
    def descriptors_held() -> int:
        return sum(1 for _ in Path(f"/proc/{shared.pid}/fd").iterdir())

    before = descriptors_held()
    for _ in range(300):
        sock = socket.create_connection(address(shared), timeout=GUARD)
        sock.sendall(sent)
        # Closing it sends a reset.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()
    async with asyncio.timeout(GUARD):
        while descriptors_held() > before + 2:
            await still_serves(shared)


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (UPGRADE + b"".join(b"X-%d: y\r\n" % number for number in range(5000)) + b"\r\n", b"HTTP/1.1 431"),
        (UPGRADE + b"X: y\r\n" * 4000 + b"\r\n", b"HTTP/1.1 431"),
        (UPGRADE + b"X-Long: " + b"y" * 1_000_000 + b"\r\n\r\n", b"HTTP/1.1 431"),
        (b"GET /ws?" + b"y" * 1_000_000 + b" HTTP/1.1\r\n\r\n", b"HTTP/1.1 431"),
        (b"y" * 1_000_000, b"HTTP/1.1 431"),
        (b"\r\n" * 100_000, b""),
        (b"\x00" * 100_000, b"HTTP/1.1 400"),
        (b"POST /ws HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", b"HTTP/1.1 405"),
        (UPGRADE + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n", b"HTTP/1.1 400"),
        (b"GET /ws\r\nHost: a HTTP/1.1\r\n\r\n", b"HTTP/1.1 400"),
    ],
    ids=["5000 headers", "4000 headers", "long header", "long target", "no request", "empty lines", "zeros",
         "huge body", "chunked body", "split request line"],
)  # fmt: skip
async def test_a_flood_of_headers_is_refused(shared: Any, request_: bytes, answer: bytes) -> None:
    reader, writer = await opened(shared, upgraded=False)
    with contextlib.suppress(ConnectionError):
        writer.write(request_)
        await writer.drain()
    assert (await rest(reader))[:12] == answer
    writer.close()
    await still_serves(shared)


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://app.example.com", "https://app.example.com.evil.example",
     "https://app.example.com:8443", "https://app.example.com@evil.example", "https://evil.example/app.example.com",
     "file://", "", "https://APP.example.com.", "https://app.example.com\u0000"],
)  # fmt: skip
async def test_a_page_of_another_origin_cannot_connect(shared: Any, origin: str) -> None:
    reader, writer = await opened(shared, upgraded=False)
    writer.write(UPGRADE + f"Origin: {origin}\r\n\r\n".encode())
    assert (await rest(reader))[:12] in (b"HTTP/1.1 403", b"HTTP/1.1 400")
    writer.close()
    await still_serves(shared, origin="https://app.example.com")
    await still_serves(shared)


async def test_one_address_and_one_owner_have_so_many_connections(serve: Any) -> None:
    service = serve("max_connections_per_principal: 3, max_connections_per_address: 5")
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(websockets.connect(f"{service.url}?client_id=one"))
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(f"{service.url}?client_id=one")
        assert refused.value.response.status_code == 429
        assert int(refused.value.response.headers["Retry-After"]) >= 1
        for _ in range(2):
            await stack.enter_async_context(websockets.connect(service.url))
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(service.url)
        assert refused.value.response.status_code == 429
        await still_serves(service, local_addr=("127.0.0.2", 0))


# Frames


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([frame(size=2**63 - 1)], 1009),
        ([frame(size=2**40)], 1009),
        ([frame(size=256 * 1024 + 1)], 1009),
        ([frame(b"x" * 1000, first=0), *[frame(b"x" * 1000, 0, first=0)] * 300], 1009),
        ([frame(b"x" * 126, PING)], 1002),
        ([frame(b"x", PING, first=0)], 1002),
        ([frame(b"x", 3)], 1002),
        ([frame(b"x", first=0xC0)], 1002),
        ([frame(b"x", first=0xF0)], 1002),
        ([b"\x81\x01x"], 1002),
        ([frame(b"", 0)], 1002),
        ([frame(b"\xff")], 1007),
        ([frame(b"\xed\xa0\x80")], 1007),
        ([frame(b"x", 2)], 1003),
    ],
    ids=["2^63 bytes", "2^40 bytes", "one too many", "too much in fragments", "long ping", "ping in fragments",
         "reserved opcode", "compressed", "all reserved bits", "not masked", "continues nothing", "not UTF-8",
         "a surrogate in UTF-8", "binary"],
)  # fmt: skip
async def test_a_frame_that_breaks_the_protocol_ends_its_connection_alone(
    shared: Any, frames: list[bytes], code: int
) -> None:
    reader, writer = await opened(shared)
    writer.write(b"".join(frames))
    async with asyncio.timeout(GUARD):
        received = await reader.readexactly(4)
    assert received[0] == 0x80 | CLOSE
    assert int.from_bytes(received[2:4]) == code
    writer.close()
    await still_serves(shared)


async def test_compression_is_never_agreed_on_so_there_are_no_bombs(shared: Any) -> None:
    async with websockets.connect(shared.url, compression="deflate") as client:
        assert client.protocol.extensions == []
        assert "Sec-WebSocket-Extensions" not in client.response.headers
        assert await asked(client) == "hello"


async def test_pings_whose_answers_nobody_takes_fill_no_memory(serve: Any) -> None:
    service = serve("max_buffered: 64KiB")
    before = memory(service)
    _, writer = await opened(service, receive_buffer=4096)
    # The test's own side stops where the kernels' buffers are full, for the service no longer reads.
    writer.transport.set_write_buffer_limits(high=0)
    pings = frame(b"x" * 125, PING) * 500
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            for _ in range(2000):
                writer.write(pings)
                await writer.drain()
    await still_serves(service)
    assert memory(service) - before < 32 * 1024 * 1024
    writer.transport.abort()


async def test_many_empty_fragments_fill_no_memory(shared: Any) -> None:
    before = memory(shared)
    reader, writer = await opened(shared)
    writer.write(frame(b'"', first=0))
    for _ in range(100):
        writer.write(frame(b"", 0, first=0) * 2000)
        await writer.drain()
    writer.write(frame(b'"', 0))
    async with asyncio.timeout(GUARD):
        assert b"VALIDATION_ERROR" in await reader.read(4096)
    assert memory(shared) - before < 32 * 1024 * 1024
    writer.close()
    await still_serves(shared)


# Messages


async def test_who_only_sends_nonsense_is_closed_and_who_errs_is_not(serve: Any) -> None:
    service = serve("refused_limit: 50/1m")
    async with websockets.connect(service.url) as honest, websockets.connect(service.url) as hostile:
        for _ in range(49):
            await honest.send("{")
            assert json.loads(await honest.recv())["error"]["code"] == "VALIDATION_ERROR"
        for number in range(1000):
            with contextlib.suppress(websockets.ConnectionClosed):
                await hostile.send('{"action": "no.such.action"}' if number % 2 else "nonsense")
        answers = []
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                answers.append(json.loads(await hostile.recv()))
        assert {answer["type"] for answer in answers} == {"error"}
        assert 50 <= len(answers) <= 60
        assert hostile.close_code == 1008
        assert await asked(honest) == "hello"
    [warning] = [entry for entry in service.log if "too many invalid messages" in entry["event"]]
    assert (warning["level"], warning["address"]) == ("warning", "127.0.0.1")


async def test_whoever_is_told_to_come_back_later_and_does_gets_through(serve: Any) -> None:
    service = serve(actions="  few: {handler: echo, rate_limit: {limit: 10/1s, burst: 2, per: connection}}")
    async with websockets.connect(service.url) as client:
        refusals = 0
        for number in range(6):
            message = json.dumps({"action": "few", "id": f"r{number}", "payload": number})
            await client.send(message)
            answer = json.loads(await client.recv())
            if answer["type"] == "error":
                refusals += 1
                assert answer["error"]["code"] == "RATE_LIMITED"
                assert answer["error"]["message"].startswith("Too many requests: this connection may send 10/1s")
                await asyncio.sleep(answer["error"]["details"]["retry_after_ms"] / 1000)
                await client.send(message)
                answer = json.loads(await client.recv())
            assert answer["data"]["echo"] == number
        assert refusals >= 1


def escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


FORGED = 'a\n{"event":"forged","level":"error"}\r\n\x1b[31m\x1b]0;owned\x07\u2028\u202e\x00'


LOGGED = [
    f'{{"action": "{escaped(FORGED)}"}}',
    f'{{"action": "echo", "id": "{escaped(FORGED)}"}}',
    '{"action": "echo", "id": "' + "x" * 100_000 + '"}',
    '{"action": "' + "x" * 100_000 + '"}',
    f'{{"action": "echo", "metadata": {{"{escaped(FORGED)}": "{escaped(FORGED)}"}}}}',
    f'{{"action": "echo", "payload": "{escaped(FORGED)}"}}',
    f'{{"action": "says", "payload": "{escaped(FORGED)}"}}',
    f'{{"action": "echo", "wait": "{escaped(FORGED)}"}}',
    f'{{"action": "echo", "type": "{escaped(FORGED)}"}}',
    f'{{"action": "streamer.cancel", "payload": {{"request_id": "{escaped(FORGED)}"}}}}',
]


async def test_no_field_of_a_message_forges_a_line_of_the_log(serve: Any, tmp_path: Path) -> None:
    program = tmp_path / "says.py"
    program.write_text(
        "#!/usr/bin/env python3\nimport json, sys\nprint(json.load(sys.stdin), file=sys.stderr)\n"
        'print(\'{"result": "said"}\')\n'
    )
    program.chmod(0o755)
    service = serve(actions="  says: {handler: command, with: {argv: [./says.py]}, mode: sync}")
    async with websockets.connect(f"{service.url}?client_id=one%20two") as client:
        for message in LOGGED:
            await client.send(message)
            async with asyncio.timeout(GUARD):
                answer = json.loads(await client.recv())
            if '"says"' in message:
                assert answer["data"] == "said"
            assert await asked(client) == "hello"
    reader, writer = await opened(service, upgraded=False)
    writer.write(b"GET /\x1b[31m%0a HTTP/1.1\r\nX: \x1b[31m\r\n\r\n")
    await rest(reader)
    writer.close()
    service.interrupt()
    service.wait()
    assert any("forged" in line for line in service.raw), "the program's words are in the log"
    for line in service.raw:
        assert len(line) < 2000
        assert json.loads(line).get("event") != "forged"
        assert all(char.isprintable() or char in "\n\u2028\u202e" for char in line), line


HOSTILE_NUMBERS = {
    "infinite": "1e400",
    "minus nothing": "-0",
    "minus nothing point": "-0.0",
    "five thousand digits": "9" * 5000,
    "a thousand digits": "1" + "0" * 1000,
    "tiny": "1e-400",
    "long fraction": "0." + "1" * 5000,
    "huge exponent": "1e99999999999999999999",
    "64 bits and one": "18446744073709551616",
    "not a number": "NaN",
    "infinity": "-Infinity",
    "hexadecimal": "0x10",
    "leading zero": "007",
}


NUMBERS = {
    "bounded": {"type": "number", "minimum": -1e300, "maximum": 1e300},
    "odd": {"type": "number", "multipleOf": 1e-300},
}


@pytest.mark.parametrize("number", HOSTILE_NUMBERS.values(), ids=HOSTILE_NUMBERS)
@pytest.mark.parametrize("action", ["echo", *NUMBERS])
async def test_a_hostile_number_is_answered_in_json_or_refused(shared: Any, action: str, number: str) -> None:
    async with websockets.connect(shared.url) as client:
        for message in (
            f'{{"action": "{action}", "id": "r", "payload": {number}}}',
            f'{{"action": "{action}", "id": {number}}}',
            f'{{"action": "{action}", "payload": {{"deeper": [{number}]}}}}',
        ):
            await client.send(message)
            async with asyncio.timeout(GUARD):
                answer = json.loads(await client.recv(), parse_constant=pytest.fail)
            assert answer["type"] == "response" or answer["error"]["code"] == "VALIDATION_ERROR", answer
        assert await asked(client) == "hello"


@pytest.mark.parametrize("number", HOSTILE_NUMBERS.values(), ids=HOSTILE_NUMBERS)
async def test_a_hostile_number_is_no_time_to_wait(shared: Any, number: str) -> None:
    async with websockets.connect(shared.url) as client:
        await client.send(f'{{"action": "echo", "id": "r", "wait": {number}}}')
        async with asyncio.timeout(GUARD):
            answer = json.loads(await client.recv(), parse_constant=pytest.fail)
            # No time to wait is a time: the request is queued, and ends.
            while answer["type"] == "acknowledgment":
                answer = json.loads(await client.recv())
        assert answer["type"] in ("response", "complete") or answer["error"]["code"] == "VALIDATION_ERROR", answer
        assert await asked(client) == "hello"


HOSTILE_JSON = {
    "deep array": '{"action": "echo", "payload": ' + "[" * 60_000 + "]" * 60_000 + "}",
    "deep object": '{"action": "echo", "payload": ' + '{"a":' * 20_000 + "1" + "}" * 20_000 + "}",
    "deep and open": "[" * 120_000,
    "surrogate": '{"action": "echo", "payload": "\\ud800"}',
    "surrogate key": '{"action": "echo", "payload": {"\\udfff": 1}}',
    "surrogate id": '{"action": "echo", "id": "\\ud800"}',
    "twice the action": '{"action": "no", "action": "also no"}',
    "twice the id": '{"action": "no", "id": "a", "id": "b"}',
    "prototype": '{"action": "no", "payload": {"__proto__": {"admin": true}, "constructor": 1}}',
    "zero byte": '{"action": "ec\\u0000ho"}',
    "byte order mark": '\ufeff{"action": "echo"}',
    "many keys": '{"action": "no", ' + ", ".join(f'"k{number}": 1' for number in range(10_000)) + "}",
    "colliding keys": '{"action": "no", "payload": {' + ", ".join(f'"{n}": 1' for n in range(12_000)) + "}}",
}


@pytest.mark.parametrize("text", HOSTILE_JSON.values(), ids=HOSTILE_JSON)
async def test_hostile_json_is_refused_and_the_connection_lives(shared: Any, text: str) -> None:
    async with websockets.connect(shared.url, max_size=None) as client:
        await client.send(text)
        async with asyncio.timeout(GUARD):
            answer = json.loads(await client.recv())
        assert answer["type"] == "error"
        assert answer["error"]["code"] in ("VALIDATION_ERROR", "INVALID_ACTION")
        assert await asked(client) == "hello"


# Schemas


SCHEMAS = {
    "nested repetition": ({"pattern": "^(a+)+$"}, "a" * 100_000 + "!"),
    "overlapping choices": ({"pattern": "^(a|aa)+$"}, "a" * 100_000 + "!"),
    "many stars": ({"pattern": "^" + ".*" * 20 + "x$"}, "a" * 50_000),
    "email like": ({"pattern": r"^([a-zA-Z0-9])(([\-.]|[_]+)?([a-zA-Z0-9]+))*(@){1}[a-z0-9]+$"}, "a" * 100_000),
    "property names": ({"patternProperties": {"^(x+x+)+y$": False}}, {"x" * 100_000: 1}),
    "multiples of next to nothing": ({"items": {"multipleOf": 1e-300}}, [1e300, 1, 0.1] * 10_000),
    "unique numbers": ({"uniqueItems": True}, [*range(20_000), 0]),
    "unique objects": ({"uniqueItems": True}, [*({"a": n} for n in range(10_000)), {"a": 0}]),
    "unique arrays": ({"uniqueItems": True}, [*([n] for n in range(15_000)), [0]]),
    "a hundred thousand wrong": ({"items": {"type": "string"}}, [1] * 60_000),
    "long format": ({"format": "email"}, "a@" * 50_000),
    "long address": ({"format": "ipv6"}, ":" * 100_000),
    "exponents of references": (
        {
            "$ref": "#/$defs/a0",
            "$defs": {f"a{n}": {"allOf": [{"$ref": f"#/$defs/a{n + 1}"}] * 2} for n in range(12)}
            | {"a12": {"type": "string"}},
        },
        1,
    ),
    "references in a circle": (
        {"properties": {"next": {"$ref": "#"}}, "additionalProperties": False},
        {"next": {"next": {"other": 1}}},
    ),
}


@pytest.mark.parametrize("name", SCHEMAS)
async def test_no_payload_holds_a_schema_up(shared: Any, name: str) -> None:
    _, payload = SCHEMAS[name]
    async with websockets.connect(shared.url, max_size=None) as client:
        await client.send(json.dumps({"action": f"schema-{[*SCHEMAS].index(name)}", "payload": payload}))
        async with asyncio.timeout(GUARD):
            answer = await client.recv()
        assert len(answer) < 100_000 or json.loads(answer)["type"] == "response"
        assert await asked(client) == "hello"


@pytest.mark.parametrize(
    "reference",
    ["/etc/passwd", "../../../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1:1/x", "//127.0.0.1/x",
     "..%2f..%2f..%2fetc%2fpasswd", "link", "ftp://127.0.0.1/x", "/proc/self/environ", "/dev/zero"],
)  # fmt: skip
def test_no_reference_of_a_schema_reads_what_is_not_its_own(tmp_path: Path, reference: str) -> None:
    from click.testing import CliRunner

    from streamer.cli.app import app

    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "link").symlink_to("/etc/passwd")
    (tmp_path / "schemas" / "a.json").write_text(json.dumps({"$ref": reference}))
    config = tmp_path / "streamer.yaml"
    config.write_text("version: 1\nactions: {a: {handler: echo, schema: schemas/a.json}}\n")
    result = CliRunner().invoke(app, ["check", "--config", str(config)])
    assert result.exit_code == 1
    assert "outside-reference" in result.output or "remote-reference" in result.output
    assert "root:" not in result.output
