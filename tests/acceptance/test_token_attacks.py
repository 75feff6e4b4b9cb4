"""Attacks with tokens and what becomes of each, over real handshakes with a real service whose log holds no token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

SECRET = "an uncommonly long secret of a service under attack"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
MALLORYS_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
MALLORYS_ED = ed25519.Ed25519PrivateKey.generate()
RSA_PEM = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
MALLORYS_JWK = {**RSAAlgorithm.to_jwk(MALLORYS_RSA.public_key(), as_dict=True), "kid": "mallory"}

CONFIG = """\
version: 1
server: {{port: 0}}
backends: {{store: {{use: sqlite, path: {name}.db}}}}
logs: {{level: debug, format: json}}
auth:
  use: jwt
  issuer: https://id.example.com
  audience: streamer
  tenants: [acme, globex, a, a/b]
  leeway: 5s
  {keys}
actions:
  echo: {{handler: echo}}
  queued: {{handler: echo, mode: async}}
  report: {{handler: echo, permissions: [reports:write]}}
"""
KEYS = {
    "set": "jwks: {file: jwks.json}",
    "pem": "public_key: {file: rsa.pub.pem}",
    "secret": "secret: ${JWT_SECRET}",
}


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory, service_class: Any) -> Iterator[dict[str, Any]]:
    """One service for each source of keys; when all attacks are over no token is in any log."""
    folder = tmp_path_factory.mktemp("attacked")
    listed = [
        {**RSAAlgorithm.to_jwk(RSA.public_key(), as_dict=True), "kid": "rsa"},
        {**ECAlgorithm.to_jwk(EC.public_key(), as_dict=True), "kid": "ec"},
        {**OKPAlgorithm.to_jwk(ED.public_key(), as_dict=True), "kid": "ed"},
        {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET.encode()).decode(), "kid": "oct"},
    ]
    (folder / "jwks.json").write_text(json.dumps({"keys": listed}))
    (folder / "rsa.pub.pem").write_bytes(RSA_PEM)
    started = {}
    for name, keys in KEYS.items():
        path = folder / f"{name}.yaml"
        path.write_text(CONFIG.format(name=name, keys=keys))
        started[name] = service_class(path, {"JWT_SECRET": SECRET}).wait_ready()
    try:
        yield started
    finally:
        for service in started.values():
            service.stop()
    logs = "".join(line for service in started.values() for line in service.raw)
    assert SENT
    parts = {part[:40] for token in SENT for part in token.split(".")[1:] if len(part) > 20}
    assert [part for part in parts if part in logs] == []
    assert SECRET not in logs
    assert [line for line in logs.splitlines() if "Traceback" in line or '"level":"error"' in line] == []


SENT: set[str] = set()


def claims(**changes: Any) -> dict[str, Any]:
    """Those of an honest user, changed; None takes one away."""
    made = {
        "sub": "alice",
        "tenant_id": "acme",
        "iss": "https://id.example.com",
        "aud": "streamer",
        "iat": time.time() - 1,
        "exp": time.time() + 300,
        "permissions": ["reports:write"],
        **changes,
    }
    return {name: value for name, value in made.items() if value is not None}


def b64(data: bytes | dict[str, Any]) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def by_hand(header: dict[str, Any] | bytes, payload: dict[str, Any] | bytes, sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""
    text = f"{b64(header)}.{b64(payload)}"
    return f"{text}.{b64(sign(text.encode()))}"


def rs256(private: Any = RSA) -> Callable[[bytes], bytes]:
    return lambda text: RSAAlgorithm(RSAAlgorithm.SHA256).sign(text, private)


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda text: hmac.new(secret, text, hashlib.sha256).digest()


def signed(payload: dict[str, Any], key: Any = RSA, algorithm: str = "RS256", **header: Any) -> str:
    return jwt.encode(payload, key, algorithm=algorithm, headers={"kid": "rsa", **header})


def unsigned(_text: bytes) -> bytes:
    return b""


def open_with(service: Any, token: str, **options: Any) -> ClientConnection:
    SENT.add(token)
    return connect(service.url, additional_headers={"Authorization": f"Bearer {token}"}, proxy=None, **options)


def ask(connection: ClientConnection, action: str, payload: Any = None, **more: Any) -> dict[str, Any]:
    connection.send(json.dumps({"action": action, "payload": payload, **more}))
    return json.loads(connection.recv(30))


def outcome(service: Any, token: str) -> int:
    """The handshake's status."""
    try:
        with open_with(service, token) as connection:
            assert ask(connection, "echo", 1)["success"]
            return 101
    except InvalidStatus as refused:
        response = refused.response
    assert token not in bytes(response.body).decode()
    assert response.status_code != 401 or response.headers["WWW-Authenticate"].startswith("Bearer")
    return response.status_code


HONEST = {
    "RS256": ("set", lambda: signed(claims())),
    "ES256": ("set", lambda: signed(claims(), EC, "ES256", kid="ec")),
    "EdDSA": ("set", lambda: signed(claims(), ED, "EdDSA", kid="ed")),
    "without a kid": ("set", lambda: jwt.encode(claims(), ED, algorithm="EdDSA")),
    "one public key, whatever its kid": ("pem", lambda: signed(claims(), kid="another")),
    "HS256": ("secret", lambda: signed(claims(), SECRET, "HS256")),
    "several audiences": ("pem", lambda: signed(claims(aud=["other", "streamer"]))),
    "expired within the leeway": ("pem", lambda: signed(claims(exp=time.time() - 1))),
    "the type of RFC 9068": ("pem", lambda: signed(claims(), typ="at+jwt")),
}


@pytest.mark.parametrize("case", HONEST)
def test_an_honest_token_opens_a_connection(services, case):
    service, make = HONEST[case]
    assert outcome(services[service], make()) == 101


ATTACKS: dict[str, tuple[str, Callable[[], str], int]] = {
    # The signature
    "signed with a key of one's own": ("set", lambda: signed(claims(), MALLORYS_RSA), 401),
    "signed with a key of one's own, EdDSA": ("set", lambda: signed(claims(), MALLORYS_ED, "EdDSA", kid="ed"), 401),
    "signed with a secret of one's own": ("secret", lambda: signed(claims(), "x" * 40, "HS256"), 401),
    "another payload below an honest signature": (
        "set",
        lambda: ".".join([*signed(claims(sub="bob")).split(".")[:2], signed(claims()).split(".")[2]]),
        401,
    ),
    "the signature cut off": ("set", lambda: signed(claims()).rpartition(".")[0] + ".", 401),
    "one bit of the signature changed": (
        "set",
        lambda: by_hand(
            {"alg": "RS256", "kid": "rsa"}, claims(), lambda t: bytes([rs256()(t)[0] ^ 1]) + rs256()(t)[1:]
        ),
        401,
    ),
    "an ECDSA signature of zeros": (
        "set",
        lambda: by_hand({"alg": "ES256", "kid": "ec"}, claims(), lambda _: bytes(64)),
        401,
    ),
    "an Ed25519 signature of zeros": (
        "set",
        lambda: by_hand({"alg": "EdDSA", "kid": "ed"}, claims(), lambda _: bytes(64)),
        401,
    ),
    # The algorithm
    **{
        f"alg {spelling!r} on {service}": (
            service,
            lambda spelling=spelling: by_hand({"alg": spelling, "typ": "JWT"}, claims(), unsigned),
            401,
        )
        for spelling in ("none", "None", "NONE", "nOnE", "none ", "", None, 0, ["none"], {"alg": "none"})
        for service in ("set", "secret")
    },
    "no alg at all": ("set", lambda: by_hand({"typ": "JWT"}, claims(), unsigned), 401),
    "HS256 with the RSA key's PEM for a secret": (
        "pem",
        lambda: by_hand({"alg": "HS256", "typ": "JWT"}, claims(), hs256(RSA_PEM)),
        401,
    ),
    "HS256 with the RSA key's PEM, of a set": (
        "set",
        lambda: by_hand({"alg": "HS256", "kid": "rsa"}, claims(), hs256(RSA_PEM)),
        401,
    ),
    "HS256 with the RSA key's modulus": (
        "set",
        lambda: by_hand(
            {"alg": "HS256", "kid": "rsa"},
            claims(),
            hs256(RSA.public_key().public_numbers().n.to_bytes(256)),
        ),
        401,
    ),
    "HS256 with a secret that stands in the set": (
        "set",
        lambda: by_hand({"alg": "HS256", "kid": "oct"}, claims(), hs256(SECRET.encode())),
        401,
    ),
    "RS512 with the right key": ("set", lambda: signed(claims(), RSA, "RS512"), 401),
    "PS256 with the right key": ("set", lambda: signed(claims(), RSA, "PS256"), 401),
    "HS512 with the right secret": ("secret", lambda: signed(claims(), SECRET + SECRET, "HS512"), 401),
    "RS256 that names the EC key": ("set", lambda: signed(claims(), RSA, "RS256", kid="ec"), 401),
    "ES256 with a key of the attacker's in place of RSA": (
        "pem",
        lambda: signed(claims(), ec.generate_private_key(ec.SECP256R1()), "ES256"),
        401,
    ),
    # The header
    "an embedded jwk": ("set", lambda: signed(claims(), MALLORYS_RSA, jwk=MALLORYS_JWK, kid="mallory"), 401),
    "an embedded jwk under a known kid": ("set", lambda: signed(claims(), MALLORYS_RSA, jwk=MALLORYS_JWK), 401),
    "a jku": ("set", lambda: signed(claims(), MALLORYS_RSA, jku="http://127.0.0.1:9/keys", kid="mallory"), 401),
    "an x5u": ("set", lambda: signed(claims(), MALLORYS_RSA, x5u="http://127.0.0.1:9/cert", kid="mallory"), 401),
    "an x5c": ("set", lambda: signed(claims(), MALLORYS_RSA, x5c=["MIIB"], kid="mallory"), 401),
    "an unknown kid": ("set", lambda: signed(claims(), kid="unknown"), 401),
    "a kid that is a path": ("set", lambda: signed(claims(), MALLORYS_RSA, kid="../../etc/passwd"), 401),
    "a kid that is SQL": ("set", lambda: signed(claims(), MALLORYS_RSA, kid="' OR 1=1 --"), 401),
    "a kid that breaks lines": ("set", lambda: signed(claims(), MALLORYS_RSA, kid='x\n{"event":"ready"}'), 401),
    "a kid that is a number": ("set", lambda: by_hand({"alg": "RS256", "kid": 1}, claims(), rs256()), 401),
    "a kid of a thousand characters": ("set", lambda: signed(claims(), kid="k" * 1000), 401),
    "crit": ("set", lambda: by_hand({"alg": "RS256", "kid": "rsa", "crit": ["exp"]}, claims(), rs256()), 401),
    "crit that is empty": ("set", lambda: by_hand({"alg": "RS256", "kid": "rsa", "crit": []}, claims(), rs256()), 401),
    "b64 false": (
        "set",
        lambda: by_hand({"alg": "RS256", "kid": "rsa", "b64": False, "crit": ["b64"]}, claims(), rs256()),
        401,
    ),
    "a token of another kind": ("set", lambda: signed(claims(), typ="logout+jwt"), 401),
    "a header that is a list": ("set", lambda: by_hand(b'["alg","RS256"]', claims(), rs256()), 401),
    "a header that is not JSON": ("set", lambda: by_hand(b'{"alg":', claims(), rs256()), 401),
    "a header nested a thousand deep": (
        "set",
        lambda: by_hand(b'{"alg":"RS256","x":' + b"[" * 1000 + b"]" * 1000 + b"}", claims(), rs256()),
        401,
    ),
    # The size and the form
    "a token of nine thousand bytes": ("set", lambda: signed(claims(note="x" * 6500)), 401),
    "no dots": ("set", lambda: "abc", 401),
    "one dot": ("set", lambda: "abc.def", 401),
    "five parts, as if encrypted": ("set", lambda: "a.b.c.d.e", 401),
    "only dots": ("set", lambda: "..", 401),
    "characters of no base64": ("set", lambda: "!!!.???.###", 401),
    "a token with a tail": ("set", lambda: signed(claims()) + "AA", 401),
    "claims nested a thousand deep": (
        "set",
        lambda: by_hand(
            {"alg": "RS256", "kid": "rsa"},
            json.dumps(claims())[:-1].encode() + b',"x":' + b"[" * 1000 + b"]" * 1000 + b"}",
            rs256(),
        ),
        401,
    ),
    "claims nested twenty deep": ("set", lambda: signed(claims(x=json.loads("[" * 20 + "]" * 20))), 401),
    "claims that are a list": ("set", lambda: by_hand({"alg": "RS256", "kid": "rsa"}, b"[]", rs256()), 401),
    "claims that are not JSON": ("set", lambda: by_hand({"alg": "RS256", "kid": "rsa"}, b"sub=alice", rs256()), 401),
    "claims that are not UTF-8": (
        "set",
        lambda: by_hand({"alg": "RS256", "kid": "rsa"}, b'{"sub":"\xff"}', rs256()),
        401,
    ),
    # The times
    "expired": ("set", lambda: signed(claims(exp=time.time() - 60)), 401),
    "expired since 1970": ("set", lambda: signed(claims(exp=0)), 401),
    "no exp": ("set", lambda: signed(claims(exp=None)), 401),
    "an exp that is a text": ("set", lambda: by_hand(KNOWN, claims(exp=str(time.time() + 300)), rs256()), 401),
    "an exp that is true": ("set", lambda: by_hand(KNOWN, claims(exp=True), rs256()), 401),
    "an exp of a hundred digits": ("set", lambda: by_hand(KNOWN, claims(exp=10**100), rs256()), 401),
    "an exp beyond all numbers": (
        "set",
        lambda: by_hand(KNOWN, json.dumps(claims(exp=1)).replace('"exp": 1', '"exp": 1e999').encode(), rs256()),
        401,
    ),
    "an exp that is NaN": ("set", lambda: by_hand(KNOWN, claims(exp=float("nan")), rs256()), 401),
    "not yet valid": ("set", lambda: signed(claims(nbf=time.time() + 60)), 401),
    "issued in the future": ("set", lambda: signed(claims(iat=time.time() + 60)), 401),
    "an nbf that is a text": ("set", lambda: by_hand(KNOWN, claims(nbf="0"), rs256()), 401),
    # Issuer and audience
    "another issuer": ("set", lambda: signed(claims(iss="https://evil.example.com")), 401),
    "an issuer that begins alike": ("set", lambda: signed(claims(iss="https://id.example.com.evil")), 401),
    "no issuer": ("set", lambda: signed(claims(iss=None)), 401),
    "issuers in a list": ("set", lambda: by_hand(KNOWN, claims(iss=["https://id.example.com"]), rs256()), 401),
    "another audience": ("set", lambda: signed(claims(aud="other")), 401),
    "no audience": ("set", lambda: signed(claims(aud=None)), 401),
    "audiences without ours": ("set", lambda: signed(claims(aud=["a", "b"])), 401),
    "an audience that is an object": ("set", lambda: by_hand(KNOWN, claims(aud={"streamer": 1}), rs256()), 401),
    "audiences of mixed types": ("set", lambda: by_hand(KNOWN, claims(aud=["streamer", 1]), rs256()), 401),
    # Who it is
    "no user": ("set", lambda: signed(claims(sub=None)), 401),
    "an empty user": ("set", lambda: signed(claims(sub="")), 401),
    "a user that is a number": ("set", lambda: by_hand(KNOWN, claims(sub=7), rs256()), 401),
    "a user that is an object": ("set", lambda: by_hand(KNOWN, claims(sub={"id": "alice"}), rs256()), 401),
    "a user that breaks lines": ("set", lambda: signed(claims(sub="alice\nbob")), 401),
    "a user of a thousand characters": ("set", lambda: signed(claims(sub="a" * 1000)), 401),
    "a tenant that is a list": ("set", lambda: by_hand(KNOWN, claims(tenant_id=["acme"]), rs256()), 401),
    "a tenant that is not in the list": ("set", lambda: signed(claims(tenant_id="evil")), 403),
    "a tenant in other letters": ("set", lambda: signed(claims(tenant_id="ACME")), 403),
    "no tenant where tenants are listed": ("set", lambda: signed(claims(tenant_id=None)), 403),
    # What it may
    "permissions in one text": ("set", lambda: signed(claims(permissions="reports:write")), 401),
    "permissions in an object": ("set", lambda: signed(claims(permissions={"reports:write": True})), 401),
    "permissions of mixed types": ("set", lambda: signed(claims(permissions=["reports:write", 1])), 401),
    "empty permissions in the list": ("set", lambda: signed(claims(permissions=[""])), 401),
}
KNOWN = {"alg": "RS256", "kid": "rsa"}


@pytest.mark.parametrize("case", ATTACKS)
def test_an_attack_ends_as_the_table_says(services, case):
    service, make, expected = ATTACKS[case]
    assert outcome(services[service], make()) == expected


@pytest.mark.parametrize(
    ("target", "headers", "subprotocols", "expected"),
    [
        ("", {}, None, 401),
        ("?token=", {}, None, 401),
        ("", {"Authorization": "Basic YTpi"}, None, 401),
        ("", {"Authorization": "{token}"}, None, 401),
        ("", {"Authorization": "bearer {token}"}, None, 101),
        ("?token={token}", {}, None, 101),
        ("?Authorization={token}", {}, None, 101),
        ("?Authorization=Bearer%20{token}", {}, None, 101),
        ("", {}, ["bearer", "{token}"], 101),
        ("", {}, ["bearer"], 401),
        ("", {}, ["{token}", "bearer"], 401),
        ("?token={token}", {"Authorization": "Bearer forged"}, None, 401),
        ("?token={token}", {}, ["bearer", "forged"], 401),
        ("?token={token}&token={token}", {}, None, 401),
        ("?token={token}", {"Authorization": "Basic YTpi"}, None, 101),
    ],
)
def test_the_first_place_that_holds_a_token_decides(services, target, headers, subprotocols, expected):
    token = signed(claims())
    SENT.add(token)
    try:
        with connect(
            services["set"].url + target.format(token=token),
            additional_headers={name: value.format(token=token) for name, value in headers.items()},
            subprotocols=subprotocols and [each.format(token=token) for each in subprotocols],
            proxy=None,
        ) as connection:
            assert connection.subprotocol == ("bearer" if subprotocols else None)
            status = 101
    except InvalidStatus as refused:
        status = refused.response.status_code
    assert status == expected


def queue(connection: ClientConnection, request_id: str) -> None:
    assert ask(connection, "queued", {"of": request_id}, id=request_id)["type"] == "acknowledgment"
    assert json.loads(connection.recv(30))["type"] == "complete"


COLLISIONS = {
    "a slash between tenant and user": ({"tenant_id": "a/b", "sub": "c"}, {"tenant_id": "a", "sub": "b/c"}),
    "a slash that is written as in a URL": ({"tenant_id": "a/b", "sub": "c"}, {"tenant_id": "a", "sub": "b%2Fc"}),
    "one user's name in two tenants": ({"tenant_id": "acme", "sub": "alice"}, {"tenant_id": "globex", "sub": "alice"}),
    "names that look alike": ({"sub": "alice"}, {"sub": "\u0430lice"}),
    "names that differ in capitals": ({"sub": "alice"}, {"sub": "Alice"}),
    "names that differ in a space": ({"sub": "alice"}, {"sub": "alice "}),
    "one letter in two ways of Unicode": ({"sub": "\u00e9"}, {"sub": "e\u0301"}),
    "an owner's own form as a name": ({"sub": "alice"}, {"sub": "principal:acme/alice"}),
}


@pytest.mark.parametrize("case", COLLISIONS)
def test_owners_that_are_made_to_collide_stay_apart(services, case):
    first, second = COLLISIONS[case]
    request_id = hashlib.sha256(case.encode()).hexdigest()[:20]
    with open_with(services["set"], signed(claims(**first))) as victim:
        queue(victim, request_id)
    with open_with(services["set"], signed(claims(**second))) as attacker:
        for action in ("streamer.status", "streamer.resume", "streamer.cancel"):
            assert ask(attacker, action, {"request_id": request_id})["error"]["code"] == "NOT_FOUND"
        assert request_id not in json.dumps(ask(attacker, "streamer.list"))
        # The same id is free for the other one: it would be a conflict, or a foreign result, if owners were mixed up.
        assert ask(attacker, "queued", "mine", id=request_id)["type"] == "acknowledgment"


def test_a_client_id_makes_nobody_somebody_else(services, start_service):
    with open_with(services["set"], signed(claims(sub="carol"))) as victim:
        queue(victim, "carols")
    SENT.add(token := signed(claims(sub="mallory")))
    url = f"{services['set'].url}?client_id=principal:acme/carol&token={token}"
    with connect(url, proxy=None) as attacker:
        assert ask(attacker, "streamer.status", {"request_id": "carols"})["error"]["code"] == "NOT_FOUND"
    # Nor where the same store is served without authentication, as after a change of the file.
    open_to_all = start_service(
        "version: 1\nserver: {port: 0}\nbackends: {store: memory}\nactions: {q: {handler: echo, mode: async}}\n"
    )
    with connect(f"{open_to_all.url}?client_id=principal:acme/carol", proxy=None) as attacker:
        ask(attacker, "q", 1, id="one")
    with connect(f"{open_to_all.url}?client_id=carol", proxy=None) as other:
        assert ask(other, "streamer.status", {"request_id": "one"})["error"]["code"] == "NOT_FOUND"


def test_permissions_are_what_the_token_says_and_nothing_that_the_client_adds(services):
    with open_with(services["set"], signed(claims(permissions=["reports:read", "reports:write2"]))) as connection:
        for more in ({}, {"permissions": ["reports:write"]}, {"metadata": {"permissions": "reports:write"}}):
            assert ask(connection, "report", None, **more)["error"]["code"] == "FORBIDDEN"
        listed = ask(connection, "streamer.actions")["data"]["actions"]
        assert [action["action"] for action in listed] == ["echo", "queued"]
    with open_with(services["set"], signed(claims())) as connection:
        assert ask(connection, "report", 1)["success"]


@pytest.mark.parametrize(
    ("changes", "key", "code"),
    [
        ({"sub": "bob"}, RSA, "FORBIDDEN"),
        ({"tenant_id": "globex"}, RSA, "FORBIDDEN"),
        ({"tenant_id": "evil"}, RSA, "FORBIDDEN"),
        ({}, MALLORYS_RSA, "UNAUTHORIZED"),
        ({"exp": 1}, RSA, "UNAUTHORIZED"),
        ({"aud": "other"}, RSA, "UNAUTHORIZED"),
    ],
)
def test_a_renewal_changes_nobody_into_somebody_else(services, changes, key, code):
    with open_with(services["set"], signed(claims(permissions=[]))) as connection:
        SENT.add(token := signed(claims(**changes), key))
        assert ask(connection, "streamer.authenticate", {"token": token})["error"]["code"] == code
        assert ask(connection, "report")["error"]["code"] == "FORBIDDEN"
        SENT.add(token := signed(claims()))
        renewed = ask(connection, "streamer.authenticate", {"token": token})["data"]
        assert (renewed["user_id"], renewed["tenant_id"]) == ("alice", "acme")
        assert ask(connection, "report")["success"]


def test_the_secret_and_what_was_filled_in_are_not_shown(services):
    path: Path = services["secret"].config
    shown = subprocess.run(
        [sys.executable, "-m", "streamer", "config", "--config", str(path)],
        env={"JWT_SECRET": SECRET, "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "secret: '***'" in shown.stdout
    assert SECRET not in shown.stdout + shown.stderr
    broken = path.with_name("broken.yaml")
    broken.write_text(path.read_text().replace("leeway: 5s", "leeway: 5"))
    checked = subprocess.run(
        [sys.executable, "-m", "streamer", "check", "--config", str(broken)],
        env={"JWT_SECRET": "short but secret", "PATH": ""},
        check=False,
        capture_output=True,
        text=True,
    )
    assert checked.returncode == 1
    assert "short but secret" not in checked.stdout + checked.stderr
