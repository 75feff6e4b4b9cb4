"""Authentication of a running service: keys from elsewhere that rotate, tokens that run out, and the commands."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from jwt.algorithms import OKPAlgorithm
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

CONFIG = """\
version: 1
server: {{port: 0}}
backends: {{store: memory}}
logs: {{format: json}}
auth:
  use: jwt
  leeway: 0s
  {keys}
actions:
  echo: {{handler: echo}}
"""


class Provider(ThreadingHTTPServer):
    """An identity provider: publishes keys, or fails, and counts how often it is asked."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.private = {}
        self.status = 200
        self.asked = 0
        self.open = threading.Event()
        self.open.set()
        self.add("first")

    def add(self, kid):
        self.private[kid] = ed25519.Ed25519PrivateKey.generate()

    def body(self):
        public = {kid: private.public_key() for kid, private in self.private.items()}
        keys = [{**OKPAlgorithm.to_jwk(key, as_dict=True), "kid": kid} for kid, key in public.items()]
        return json.dumps({"keys": keys}).encode()

    def token(self, kid="first", lifetime=300.0, **claims):
        made = {"sub": "alice", "exp": time.time() + lifetime, **claims}
        return jwt.encode(made, self.private[kid], algorithm="EdDSA", headers={"kid": kid})

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/keys"


class Answer(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self):
        self.server.asked += 1
        self.server.open.wait(30)
        body = self.server.body()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def provider() -> Iterator[Provider]:
    server = Provider()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.open.set()
    server.shutdown()
    thread.join()
    server.server_close()


def fetched_from(provider, cooldown="1h"):
    return CONFIG.format(keys=f"jwks: {{url: '{provider.url}', cooldown: {cooldown}}}")


def use(service, token):
    """The handshake's status; 101 once a request was answered."""
    try:
        with connect(service.url, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None) as connection:
            connection.send('{"action": "echo", "payload": 1}')
            assert json.loads(connection.recv(30))["success"]
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_a_hundred_connections_are_one_request_for_keys(start_service, provider):
    service = start_service(fetched_from(provider))
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(lambda _: use(service, provider.token()), range(100))) == {101}
    assert provider.asked == 1


def test_those_that_come_before_the_keys_wait_for_them(start_service, provider):
    provider.open.clear()
    service = start_service(fetched_from(provider))
    with ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(use, service, provider.token()) for _ in range(8)]
        forged = pool.submit(use, service, provider.token() + "AA")
        provider.open.set()
        assert [one.result(30) for one in waiting] == [101] * 8
        assert forged.result(30) == 401
    assert provider.asked == 1


def test_a_new_key_is_found_when_the_first_token_names_it(start_service, provider):
    service = start_service(fetched_from(provider, cooldown="1us"))
    assert use(service, provider.token()) == 101
    provider.add("second")
    assert use(service, provider.token("second")) == 101
    assert provider.asked == 2


def test_keys_that_nobody_knows_make_no_flood_of_requests(start_service, provider):
    service = start_service(fetched_from(provider))
    assert use(service, provider.token()) == 101
    stranger = Provider()
    stranger.server_close()
    for number in range(20):
        stranger.add(f"k{number}")
        assert use(service, stranger.token(f"k{number}")) == 401
    assert provider.asked == 1


def test_a_provider_that_fails_takes_nobody_out(start_service, provider):
    service = start_service(fetched_from(provider, cooldown="1us"))
    assert use(service, provider.token()) == 101
    provider.status = 500
    provider.add("second")
    assert use(service, provider.token("second")) == 401
    assert use(service, provider.token()) == 101
    failures = [line for line in service.log if line["event"] == "keys could not be fetched"]
    assert [(line["outcome"], line["keys"]) for line in failures] == [("keeping the current keys", 1)]
    assert "status 500" in failures[0]["error"]


def test_without_a_provider_the_service_is_there_and_says_try_again(start_service, provider):
    provider.status = 500
    service = start_service(fetched_from(provider))
    assert use(service, provider.token()) == 503
    assert service.stop() == 0


def test_a_connection_ends_with_its_token_unless_a_new_one_came(start_service, provider):
    service = start_service(fetched_from(provider))
    expires_soon = {"Authorization": f"Bearer {provider.token(lifetime=2)}"}
    with (
        connect(service.url, additional_headers=expires_soon, proxy=None) as ends,
        connect(service.url, additional_headers=expires_soon, proxy=None) as stays,
    ):
        stays.send(json.dumps({"action": "streamer.authenticate", "payload": {"token": provider.token()}}))
        assert json.loads(stays.recv(30))["data"]["user_id"] == "alice"
        with pytest.raises(ConnectionClosedError) as ended:
            ends.recv(30)
        assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (3500, "the token has expired")
        stays.send('{"action": "echo"}')
        assert json.loads(stays.recv(30))["success"]


def streamer(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "streamer", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
        env={"PATH": "", **environment},
    )


def test_from_a_new_key_to_an_answer_by_commands_alone(start_service, tmp_path):
    assert streamer("token", "--new-key", "dev.pem", cwd=tmp_path).returncode == 0
    service = start_service(CONFIG.format(keys="public_key: {file: dev.pub.pem}"))
    token = streamer("token", "--user", "alice", "--key", "dev.pem", cwd=tmp_path).stdout.strip()
    answered = streamer("call", "echo", "1", "--url", service.url, cwd=tmp_path, STREAMER_TOKEN=token)
    assert (answered.returncode, json.loads(answered.stdout)["echo"]) == (0, 1), answered.stderr
    refused = streamer("call", "echo", "1", "--url", service.url, "--token", token + "x", cwd=tmp_path)
    assert refused.returncode != 0
    assert "401" in refused.stderr
    assert token not in refused.stderr
    alone = streamer("call", "echo", "1", "--url", service.url, cwd=tmp_path)
    assert alone.returncode != 0
