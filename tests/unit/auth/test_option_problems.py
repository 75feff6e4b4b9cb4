"""What `streamer check` tells of options whose shape is right."""

import pytest

from streamer.auth.option_problems import problems
from streamer.auth.options import JWT
from streamer.config.build import with_defaults
from streamer.contracts.components import BuildContext


@pytest.fixture
def told(tmp_path, ring):
    """The places and messages of what is wrong with options, beside files of keys."""
    (tmp_path / "rsa.pem").write_text(ring.pem("RS256"))
    (tmp_path / "private.pem").write_text(ring.private_pem("RS256"))
    (tmp_path / "binary").write_bytes(b"\x80\x81")
    (tmp_path / "jwks.json").write_bytes(ring.jwks("RS256", "ES256"))
    (tmp_path / "empty.json").write_text('{"keys": []}')

    def check(**options):
        found = problems(with_defaults(options, JWT), BuildContext(base_dir=tmp_path))
        return [(problem.place, problem.message) for problem in found]

    return check


LONG = "a secret of more than thirty-two bytes"


@pytest.mark.parametrize(
    "options",
    [
        {"secret": LONG},
        {"secret": LONG, "algorithms": ["HS256"]},
        {"secret": LONG, "leeway": "10m"},
        {"public_key": {"file": "rsa.pem"}, "algorithms": ["RS256"]},
        {"jwks": {"file": "jwks.json"}, "algorithms": ["RS256", "ES256"]},
        {"jwks": {"url": "https://id.example.com/keys"}, "algorithms": ["EdDSA"]},
        {"jwks": {"url": "http://127.0.0.1:9/keys"}},
        {"jwks": {"url": "http://[::1]:9/keys"}},
        {"jwks": {"url": "http://localhost/keys"}},
        {"jwks": {"url": "http://id.example.com/keys", "allow_http": True}},
    ],
    ids=str,
)
def test_nothing_is_said_of_what_can_be_used(told, options):
    assert told(**options) == []


@pytest.mark.parametrize(
    ("options", "place", "message"),
    [
        ({}, (), "no key is configured for verifying tokens; set exactly one of: secret, public_key, jwks"),
        (
            {"secret": LONG, "jwks": {"file": "jwks.json"}},
            ("jwks",),
            "secret and jwks are both set; set exactly one of: secret, public_key, jwks",
        ),
        ({"secret": "short"}, ("secret",), "5 bytes"),
        ({"secret": LONG, "leeway": "11m"}, ("leeway",), "the limit is 10m"),
        (
            {"secret": LONG, "algorithms": ["HS256", "RS256"]},
            ("algorithms", 1),
            "RS256 cannot be used: the key is for HS",
        ),
        (
            {"public_key": {"file": "absent.pem"}},
            ("public_key", "file"),
            "cannot read the file: No such file or directory",
        ),
        ({"public_key": {"file": "."}}, ("public_key", "file"), "cannot read"),
        ({"public_key": {"file": "binary"}}, ("public_key", "file"), "is not text"),
        ({"public_key": {"file": "private.pem"}}, ("public_key", "file"), "private key"),
        ({"public_key": "nonsense"}, ("public_key",), "not a public key"),
        ({"public_key": {"file": "rsa.pem"}, "algorithms": ["HS256"]}, ("algorithms", 0), "HS256 cannot be used"),
        (
            {"public_key": {"file": "rsa.pem"}, "algorithms": ["RS256", "ES256"]},
            ("algorithms", 1),
            "ES256 cannot be used",
        ),
        ({"jwks": {}}, ("jwks",), "exactly one of: url, file"),
        ({"jwks": {"url": "https://a", "file": "jwks.json"}}, ("jwks",), "exactly one of: url, file"),
        ({"jwks": {"file": "absent.json"}}, ("jwks", "file"), "cannot read"),
        ({"jwks": {"file": "empty.json"}}, ("jwks", "file"), "no usable key"),
        ({"jwks": {"file": "jwks.json"}, "algorithms": ["EdDSA"]}, ("algorithms", 0), "the keys are for ES256, RS256"),
        ({"jwks": {"url": "https://a/b"}, "algorithms": ["HS256"]}, ("algorithms", 0), "HS256 cannot be used"),
        ({"jwks": {"url": "http://id.example.com/keys"}}, ("jwks", "url"), "allow_http"),
        ({"jwks": {"url": "http://127.0.0.1.evil.example/keys"}}, ("jwks", "url"), "allow_http"),
        ({"jwks": {"url": "https://"}}, ("jwks", "url"), "not a URL"),
        ({"jwks": {"url": "http://[::1"}}, ("jwks", "url"), "not a URL"),
    ],
    ids=str,
)
def test_what_cannot_be_used_is_told_at_its_place(told, options, place, message):
    ((found_place, found),) = told(**options)
    assert found_place == place
    assert message in found
