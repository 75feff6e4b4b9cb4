"""Broken configuration files, as people write them: every problem is told at its line, and nothing but that.

In each file a comment `#! code` marks a line that has a problem of that code. `streamer check` must tell exactly
these, in this order; a file where a comment has no place lists its lines beside it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from streamer.cli.app import app
from streamer.config import CODES


@dataclass
class Broken:
    text: str
    """`streamer.yaml`, in UTF-8; after a leading NUL, in Latin-1."""
    files: dict[str, str] = field(default_factory=dict)
    more: tuple[str, ...] = ()
    """`file:line code` of what no mark can stand beside."""
    environment: dict[str, str | None] = field(default_factory=dict)


FILES = {
    "keys are misspelt on every level": Broken("""\
version: 1
servce: {name: shop}            #! unknown-key
server:
  port: 8080
  allowed_origin: []            #! unknown-key
actions:
  echo:
    handlr: echo                #! unknown-key
    retry: {max_attemps: 3}     #! unknown-key
"""),
    "names of components are misspelt": Broken("""\
version: 1
backends:
  store: {use: sqllite}         #! unknown-backend
  connections: {use: lokal}     #! unknown-backend
auth: {use: nobody}             #! unknown-auth
middleware:
  - acces_log                   #! unknown-middleware
  - use: timout                 #! unknown-middleware
    limit: 30s
actions:
  echo: {handler: Echoo}        #! unknown-handler
"""),
    "durations and sizes have no unit": Broken("""\
version: 1
service:
  async_threshold: 5            #! bad-duration
server:
  max_message_size: 131072      #! bad-size
  drain_timeout: "30"           #! bad-duration
worker:
  lease: 30 seconds             #! bad-duration
middleware:
  - use: timeout
    limit: 30                   #! bad-duration
  - use: limits
    max_payload: 1 mb           #! bad-size
actions:
  wait:
    handler: delay
    with: {delay: 300}          #! bad-duration
    timeout: 1m 30s             #! bad-duration
    retry: {initial: 1, max: half a minute} #! bad-duration bad-duration
"""),
    "types are wrong": Broken("""\
version: 1
service:
  name: [shop]                  #! wrong-type
  expose_errors: yes            #! wrong-type
server:
  port: "8080"                  #! wrong-type
  allowed_origins: https://app.example.com #! wrong-type
worker:
  concurrency: many             #! wrong-type
middleware: timeout             #! wrong-type
actions:
  echo: echo                    #! wrong-type
"""),
    "numbers are out of range": Broken("""\
version: 1
server:
  port: 80800                   #! bad-value
  max_connections: 0            #! bad-value
  ping_interval: 0s             #! bad-value
worker: {threads: -1, lease: 0ms} #! bad-value bad-value
actions:
  echo:
    handler: echo
    priority: 5000              #! bad-value
    retry: {max_attempts: 0, factor: 0.5, jitter: 20} #! bad-value bad-value bad-value
"""),
    "a version that is not known": Broken("""\
version: 2                      #! bad-value
actions: {echo: {handler: echo}}
"""),
    "no version, and an action without a handler": Broken("""\
service: {name: shop}           #! missing-key
actions:
  echo:                         #! missing-key
    description: Send it back
"""),
    "sections are left empty": Broken("""\
version: 1
server:                         #! wrong-type
middleware:                     #! wrong-type
  # - use: timeout
actions:
  echo:                         #! wrong-type
"""),
    "environment variables are missing": Broken(
        """\
version: 1
service:
  name: ${SHOP_NAME}            #! missing-variable
server:
  port: ${SHOP_PORT:-8080}
  tls: {cert: ${SHOP_CERT}, key: ${SHOP_KEY:-key.pem}} #! missing-variable
actions:
  quote:
    handler: http
    with:
      url: ${SHOP_URL-http://x} #! bad-variable
      headers:
        Authorization: "Bearer ${SHOP_TOKEN}" #! missing-variable
""",
        environment={"SHOP_NAME": None, "SHOP_CERT": None, "SHOP_TOKEN": None},
    ),
    "environment variables hold what does not fit": Broken(
        """\
version: 1
server:
  port: ${SHOP_PORT}            #! wrong-type
service:
  strict_messages: ${SHOP_STRICT} #! wrong-type
  async_threshold: ${SHOP_THRESHOLD} #! bad-duration
""",
        environment={"SHOP_PORT": "http", "SHOP_STRICT": "yes", "SHOP_THRESHOLD": "5"},
    ),
    "one key twice": Broken("""\
version: 1
actions:
  echo: {handler: echo}
  slow:
    handler: delay
    handler: echo               #! duplicate-key
  echo: {handler: delay}        #! duplicate-key
service: {name: a, nam: b}      #! unknown-key
version: 1                      #! duplicate-key
"""),
    "names that no action may have": Broken("""\
version: 1
actions:
  streamer.ping: {handler: echo} #! bad-action-name
  create user: {handler: echo}  #! bad-action-name
  größe: {handler: ecko}        #! bad-action-name unknown-handler
  7: {handler: echo}            #! bad-key
  true: {handler: echo}         #! bad-key
"""),
    "a tab": Broken("version: 1\nservice:\n\tname: shop\n", more=("streamer.yaml:3 syntax",)),
    "a quote that does not end": Broken(
        'version: 1\nservice:\n  name: "shop\nserver: {port: 1}\n', more=("streamer.yaml:5 syntax",)
    ),
    "a text with a colon": Broken("""\
version: 1
actions:
  echo:
    description: Note: it answers #! syntax
    handler: echo
"""),
    "a file in Latin-1": Broken("\0version: 1\nservice:\n  name: gr\xfcn\n", more=("streamer.yaml:3 unreadable",)),
    "an empty file": Broken("# nothing yet\n", more=("streamer.yaml:1 missing-key",)),
    "two documents": Broken("version: 1\n---\nversion: 1\n", more=("streamer.yaml:2 yaml-feature",)),
    "YAML that surprises": Broken("""\
version: 1
service: {name: !!binary c2hvcA==} #! yaml-feature
worker: &worker
  concurrency: .inf             #! yaml-feature
  lease: 30                     #! bad-duration
actions:
  loop: &loop                   #! yaml-feature
    handler: echo
    with: *loop
"""),
    "a mistake in what many actions share": Broken("""\
version: 1
actions:
  first: &base
    handler: delay
    timeout: 10                 #! bad-duration
    with: {dealy: 1s}           #! unknown-key
  second:
    <<: *base
    mode: later                 #! bad-value
  third: {<<: *base, timeout: 5s, prioritiy: 1} #! unknown-key
"""),
    "options that the components do not take": Broken("""\
version: 1
backends: {store: {use: memory, path: ./x.db}} #! unknown-key
middleware:
  - use: access_log
    slower_then: 1s             #! unknown-key
  - timeout: {limit: 5s}        #! missing-key
actions:
  run: {handler: command, with: {args: [ls]}} #! unknown-key
  call:
    handler: http
    with:
      url: ftp://example.com    #! bad-value
      method: DELETE            #! bad-value
      headers: {X-Count: 5}     #! wrong-type
      retry_statuses: [503, 503] #! bad-value
  bare:                         #! missing-key
    handler: http
"""),
    "estimates that no timeout allows": Broken("""\
version: 1
actions:
  report:
    handler: echo
    estimated_duration: 10m     #! estimate-over-timeout
    timeout: 5m
  mail:
    handler: http
    with: {url: "https://mail.example.com"}
    timeout: 200ms              #! estimate-over-timeout
  exact: {handler: echo, estimated_duration: 1s, timeout: 1000ms} #! estimate-over-timeout
  fine: {handler: echo, estimated_duration: 1h, mode: sync}
"""),
    "limits that limit nothing": Broken("""\
version: 1
server:
  connection_rate: 50           #! bad-rate
  refused_limit: 0/1s           #! bad-rate
  max_handshakes: 0             #! bad-value
  forwarded_header: X-Real-IP   #! bad-value
  trusted_proxies:
    - 10.0.0.0/8
    - 10.0.0.0/33               #! bad-value
    - proxy.example.com         #! bad-value
middleware:
  - use: rate_limit             #! missing-key
  - use: rate_limit
    limit: 10 per minute        #! bad-rate
    per: user                   #! bad-value
actions:
  echo:
    handler: echo
    rate_limit:
      limit: 3/0s               #! bad-rate
      burst: 0                  #! bad-value
"""),
    "a schema's file that leads out of its folders": Broken(
        """\
version: 1
actions:
  order: {handler: echo, schema: schemas/order.json}
""",
        {"schemas/order.json": '{"properties": {\n  "a": {"$ref": "../../../x"},\n  "b": {"$ref": "/etc/passwd"}}}'},
        ("schemas/order.json:2 outside-reference", "schemas/order.json:3 outside-reference"),
    ),
    "schemas written in the file": Broken("""\
version: 1
actions:
  order:
    handler: echo
    schema:
      type: objct               #! bad-schema
      required: email           #! bad-schema
      properties:
        email: {type: string, pattern: '[a-z'} #! bad-pattern
        amount: {type: number, minimum: "0"} #! bad-schema
        customer: {$ref: '#/$defs/customer'} #! missing-reference
        country: {$ref: 'https://example.com/country.json'} #! remote-reference
    result_schema: 5            #! wrong-type
"""),
    "schemas in files": Broken(
        """\
version: 1
actions:
  gone: {handler: echo, schema: schemas/gone.json} #! unreadable
  folder: {handler: echo, schema: schemas} #! unreadable
  comma: {handler: echo, schema: schemas/comma.json}
  order: {handler: echo, schema: schemas/order.json, result_schema: schemas/old.json}
""",
        files={
            "schemas/comma.json": '{\n  "type": "object",\n}\n',
            "schemas/order.json": """\
{
  "type": "object",
  "properties": {
    "customer": {"$ref": "common.json#/$defs/customer"},
    "address": {"$ref": "common.json#/$defs/adress"},
    "lines": {"$ref": "lines.json"},
    "code": {"type": "string", "pattern": "^(?!X)"}
  }
}
""",
            "schemas/common.json": '{"$defs": {\n  "customer": {"required": {}},\n  "address": {}\n}}\n',
            "schemas/old.json": '{\n  "$schema": "http://json-schema.org/draft-04/schema#"\n}\n',
        },
        more=(
            "schemas/comma.json:3 bad-schema",
            "schemas/common.json:2 bad-schema",
            "schemas/old.json:2 bad-schema",
            "schemas/order.json:5 missing-reference",
            "schemas/order.json:6 missing-reference",
            "schemas/order.json:7 bad-pattern",
        ),
    ),
    "plugins that are not there": Broken("""\
version: 1
plugins:
  allow: [streamer-absent]      #! unknown-plugin
  block: none                   #! wrong-type
actions:
  report: {handler: absent.generate_report} #! unknown-handler
logs: {level: verbose, format: xml} #! bad-value bad-value
"""),
    "sections of another version": Broken("""\
version: 1
monitor: {port: 8081}           #! unknown-key
tests: []                       #! unknown-key
actions:
  echo:
    handler: echo
    permission: [echo]          #! unknown-key
tenants: [acme]                 #! unknown-key
"""),
    "everybody may, and nobody can": Broken("""\
version: 1
server:
  host: 0.0.0.0                 #! open-to-anyone
admin:
  enabled: true
  host: 0.0.0.0                 #! admin-without-token
actions:
  echo:
    handler: echo
    permissions: [echo]         #! permissions-without-auth
"""),
    "keys and algorithms that do not fit": Broken(
        """\
version: 1
auth:
  use: jwt
  secret: ${JWT_SECRET}         #! bad-option
  algorithms: [HS256]
""",
        environment={"JWT_SECRET": "too short"},
    ),
    "a secret for an algorithm of key pairs": Broken(
        """\
version: 1
auth:
  use: jwt
  secret: ${JWT_SECRET}
  algorithms: [HS256, RS256]    #! bad-option
""",
        environment={"JWT_SECRET": "0123456789012345678901234567890123456789"},
    ),
    "two sources of keys": Broken(
        """\
version: 1
auth:
  use: jwt
  secret: ${JWT_SECRET}
  public_key: {file: absent.pem} #! bad-option
""",
        environment={"JWT_SECRET": "0123456789012345678901234567890123456789"},
    ),
    "no source of keys": Broken("""\
version: 1
auth: jwt                       #! bad-option
"""),
    "key files that are not there, or hold something else": Broken("""\
version: 1
auth:
  use: jwt
  public_key:
    file: streamer.yaml         #! bad-option
"""),
    "keys fetched without protection": Broken("""\
version: 1
auth:
  use: jwt
  jwks:
    url: http://id.example.com/keys #! bad-option
  algorithms: [RS256, HS256]    #! bad-option
"""),
}

MARK = re.compile(r"#! ([a-z -]+)$")


def expected(broken: Broken) -> list[str]:
    """The marks at their lines, and what no mark can stand beside."""
    found = []
    for number, line in enumerate(broken.text.splitlines(), 1):
        mark = MARK.search(line)
        if mark is not None:
            found += [f"streamer.yaml:{number} {code}" for code in mark[1].split()]
    return [*found, *broken.more]


def told(output: str) -> list[str]:
    problems = [re.fullmatch(r"(\S+?):(\d+):\d+: ([a-z-]+): .+", line) for line in output.splitlines()]
    assert all(problems), output
    return [f"{problem[1]}:{problem[2]} {problem[3]}" for problem in problems if problem]


def test_there_are_at_least_twenty_five():
    assert len(FILES) >= 25


@pytest.mark.parametrize("broken", FILES.values(), ids=[name.replace(" ", "_") for name in FILES])
def test_every_problem_is_told_at_its_line(broken: Broken, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encoding = "latin-1" if broken.text.startswith("\0") else "utf-8"
    Path("streamer.yaml").write_bytes(broken.text.lstrip("\0").encode(encoding))
    for name, text in broken.files.items():
        path = Path(name)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    result = CliRunner().invoke(app, ["check"], env=broken.environment)

    assert result.exit_code == 1, result.output
    assert isinstance(result.exception, SystemExit)
    assert told(result.stdout) == expected(broken), result.stdout


def test_together_they_show_nearly_every_code():
    shown = {line.split()[1] for broken in FILES.values() for line in expected(broken)}
    # A plugin that cannot load is shown with plugins.
    assert CODES.keys() - shown == {"plugin-error"}


@pytest.mark.parametrize(
    "name",
    [
        "keys are misspelt on every level",
        "environment variables are missing",
        "a version that is not known",
    ],
)
def test_the_program_itself_says_the_same(name, tmp_path):
    broken = FILES[name]
    (tmp_path / "streamer.yaml").write_text(broken.text)
    environment = {key: value for key, value in os.environ.items() if key not in broken.environment}

    done = subprocess.run(
        [sys.executable, "-m", "streamer", "check"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert told(done.stdout) == expected(broken)
    count = len(expected(broken))
    assert done.stderr == f"streamer: streamer.yaml has {count} problem{'s' * (count != 1)}\n"
