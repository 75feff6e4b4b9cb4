"""Hundreds of small mistakes in a right file: each version is right or has problems, and none is a crash."""

import random

import pytest

from streamer.config import CODES, dump
from streamer.core.errors import ConfigError

pytestmark = pytest.mark.no_cover  # many examples of what other tests cover; traced, they take three times as long

TEXT = """\
version: 1
service: {name: shop, async_threshold: 5s}
server:
  port: ${PORT:-8080}
  allowed_origins: [http://a]
backends:
  store: {use: sqlite, path: x.db}
auth:
  use: acme.jwt
  secret: ${SECRET}
middleware:
  - access_log
  - use: limit
    rate: 5/1s
actions:
  one: &one
    handler: report
    with:
      data: ./d
      token: t-${SECRET}
    estimated_duration: 1s
    timeout: 5s
    retry: {max_attempts: 3, jitter: 0.5}
    schema:
      type: object
      properties:
        a: {$ref: '#/$defs/x'}
        b: {type: string, pattern: '^x'}
      $defs: {x: {type: integer}}
  two:
    <<: *one
    schema: two.json
"""
PIECES = [
    *[
        "{",
        "}",
        "[",
        "]",
        ": ",
        "- ",
        '"',
        "'",
        "\t",
        "&a ",
        "*one",
        "<<: ",
        "!x ",
        "|",
        "#",
        "?",
        "---",
        "%",
        "${",
        "$${",
    ],
    *[
        "${X}",
        "${X:-1}",
        "null",
        "5",
        "-1",
        "1e999",
        "true",
        "~",
        "é",
        "\u2028",
        "\x00",
        "0s",
        "9" * 400 + "GiB",
        "{a: 1}",
    ],
    *[
        "[1, [2]]",
        "two.json",
        "{$ref: '#/x'}",
        "{$ref: two.json}",
        "{type: 5}",
        "{$schema: []}",
        "{$ref: 5}",
        "{$ref: ''}",
    ],
    *[
        "{$id: 'http://['}",
        "{$id: 5, $ref: '#x'}",
        "{pattern: '('}",
        "{properties: []}",
        "{$ref: 'urn:x'}",
        "{$ref: //h/x}",
    ],
    *["{$ref: '#/%zz'}", '{$ref: "a\\0b"}', '"a\\0b"', '"\\ud800"', "{$anchor: [], $ref: '#'}", "{allOf: 5, items: 5}"],
]


def mutated(chance: random.Random) -> str:
    lines = TEXT.splitlines()
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(lines))
        match chance.randrange(4):
            case 0:
                del lines[at]
            case 1:
                lines.insert(at, chance.choice(lines))
            case 2:
                split = chance.randint(0, len(lines[at]))
                lines[at] = lines[at][:split] + chance.choice(PIECES) + lines[at][split:]
            case _:
                lines[at] = lines[at].partition(":")[0] + ": " + chance.choice(PIECES)
    return "\n".join(lines)


def test_no_mistake_is_a_crash(settings_of, seed):
    chance = random.Random(seed)
    secret = "quite-a-secret"
    right = wrong = 0
    for _ in range(400):
        text = mutated(chance)
        problems, shown = [], ""
        try:
            settings = settings_of(text, {"two.json": '{"items": {"$ref": "two.json"}}'}, SECRET=secret, X="1")
            shown = dump(settings) if settings.secrets else ""
            right += 1
        except ConfigError as error:
            problems, shown = error.problems, str(error)
            wrong += 1
        assert secret not in shown
        assert len(problems) == (len(shown.split("\n")) if problems else 0)
        assert all(problem.code in CODES and problem.line > 0 and problem.column > 0 for problem in problems)
    assert right > 0
    assert wrong > 0
