"""`streamer token`: tokens and keys for development."""

from __future__ import annotations

import json
import stat

import pytest
from click.testing import CliRunner

from streamer.auth.token import unchecked_payload
from streamer.cli.app import app

SECRET = "a secret of more than thirty-two bytes"
CONFIG = """\
version: 1
auth: {{use: jwt, {auth}}}
actions:
  echo: {{handler: echo}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JWT_SECRET", SECRET)
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["token", *arguments])


def write(folder, auth):
    (folder / "streamer.yaml").write_text(CONFIG.format(auth=auth))


def claims_of(result):
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert result.stdout.count("\n") == 1
    return json.loads(unchecked_payload(result.stdout.strip()))


def test_the_secret_of_the_file_signs(folder):
    write(folder, "secret: '${JWT_SECRET}', issuer: i, audience: [a, b], tenants: [acme]")
    claims = claims_of(run("--user", "alice", "--permission", "p", "--permission", "q", "--expires", "5m"))
    assert claims["exp"] - claims["iat"] == 300
    del claims["exp"], claims["iat"]
    assert claims == {"sub": "alice", "tenant_id": "acme", "permissions": ["p", "q"], "iss": "i", "aud": "a"}


@pytest.mark.parametrize("algorithm", ["EdDSA", "ES256", "RS256"])
def test_a_new_pair_is_written_and_signs(folder, algorithm):
    made = run("--new-key", "keys/dev.pem", "--algorithm", algorithm)
    assert (made.exit_code, made.stdout) == (0, "")
    assert "keys/dev.pub.pem" in made.stderr
    assert stat.S_IMODE((folder / "keys/dev.pem").stat().st_mode) == 0o600
    write(folder, "public_key: {file: keys/dev.pub.pem}")
    assert claims_of(run("--user", "alice", "--key", "keys/dev.pem", "--tenant", "t"))["tenant_id"] == "t"


def test_a_key_is_never_replaced(folder):
    run("--new-key", "dev.pem")
    before = (folder / "dev.pem").read_text()
    again = run("--new-key", "dev.pem")
    assert again.exit_code == 2
    assert "already exists" in again.stderr
    assert (folder / "dev.pem").read_text() == before


def test_a_place_where_nothing_can_be_written_is_told(folder):
    (folder / "file").write_text("")
    result = run("--new-key", "file/dev.pem")
    assert result.exit_code == 2
    assert "cannot write" in result.stderr


@pytest.mark.parametrize(
    ("auth", "arguments", "why"),
    [
        ("secret: '${JWT_SECRET}', tenants: [acme]", ["--tenant", "evil"], "Your tenant is not allowed"),
        ("secret: '${JWT_SECRET}', require: [jti]", [], "lacks the claim 'jti'"),
        ("secret: '${JWT_SECRET}'", ["--key", "other.pem"], "is not signed with HS256"),
        ("public_key: {file: dev.pub.pem}", ["--key", "other.pem"], "invalid signature"),
    ],
)
def test_a_token_that_will_be_refused_says_so_beside_it(folder, auth, arguments, why):
    run("--new-key", "dev.pem")
    run("--new-key", "other.pem")
    write(folder, auth)
    result = run("--user", "alice", *arguments)
    assert result.exit_code == 0
    assert result.stdout.count(".") == 2
    assert result.stderr.startswith("streamer: the service will refuse this token: ")
    assert why in result.stderr


@pytest.mark.parametrize(
    ("auth", "arguments", "why"),
    [
        ("secret: '${JWT_SECRET}'", [], "--user is missing"),
        ("public_key: {file: dev.pub.pem}", ["--user", "a"], "--key is missing"),
        ("public_key: {file: dev.pub.pem}", ["--user", "a", "--key", "dev.pub.pem"], "not a private key"),
        ("public_key: {file: dev.pub.pem}", ["--user", "a", "--key", "binary"], "not text"),
    ],
)
def test_what_is_missing_is_told(folder, auth, arguments, why):
    run("--new-key", "dev.pem")
    (folder / "binary").write_bytes(b"\x80")
    write(folder, auth)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert why in result.stderr


def test_without_tokens_in_the_file_there_are_none_to_make(folder):
    (folder / "streamer.yaml").write_text("version: 1\n")
    result = run("--user", "alice")
    assert result.exit_code == 2
    assert "its auth is 'none'" in result.stderr


def test_run_refuses_an_address_that_the_file_does_not_open(folder):
    (folder / "streamer.yaml").write_text("version: 1\n")
    result = CliRunner().invoke(app, ["run", "--host", "0.0.0.0"])
    assert result.exit_code == 2
    assert "allow_anyone: true" in result.stderr
