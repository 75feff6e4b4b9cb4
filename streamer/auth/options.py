"""JSON Schemas of the options, separate from the code that uses them: reading them imports nothing heavy."""

from __future__ import annotations

from typing import Any, Final

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA", "HS256")
"""The possible signature algorithms. Each belongs to one type of key, and no key is ever used with another one."""

_FILE: Final[dict[str, Any]] = {"type": "string", "format": "path", "minLength": 1}
_TEXTS: Final[dict[str, Any]] = {"type": "array", "items": {"type": "string", "minLength": 1}, "uniqueItems": True}
_TEXT_OR_TEXTS: Final[dict[str, Any]] = {
    "anyOf": [{"type": "string", "minLength": 1}, {**_TEXTS, "minItems": 1}],
}

NONE: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "allow_anyone": {
            "type": "boolean",
            "default": False,
            "description": "Confirms that everybody who can reach server.host may use this service. Required where "
            "other machines can reach it.",
        },
    },
    "additionalProperties": False,
}

JWT: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "secret": {
            "type": "string",
            "writeOnly": True,
            "description": "The shared secret of HS256, at least 32 bytes. Use an environment variable.",
            "examples": ["${JWT_SECRET}"],
        },
        "public_key": {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "properties": {"file": {**_FILE, "description": "A file that contains it."}},
                    "required": ["file"],
                    "additionalProperties": False,
                },
            ],
            "description": "One public key or certificate (PEM): its text, or {file: …}.",
            "examples": [{"file": "keys/jwt.pub.pem"}, "${JWT_PUBLIC_KEY}"],
        },
        "jwks": {
            "type": "object",
            "properties": {
                "url": {
                    "type": "string",
                    "pattern": "^https?://",
                    "description": "The URL of the key set, which is fetched in the background, before it is needed.",
                },
                "file": {**_FILE, "description": "A file with the key set; it is read again when it changes."},
                "refresh": {
                    "type": "string",
                    "format": "duration",
                    "x-above-zero": True,
                    "default": "10m",
                    "description": "How often the keys are fetched.",
                },
                "cooldown": {
                    "type": "string",
                    "format": "duration",
                    "x-above-zero": True,
                    "default": "30s",
                    "description": "Minimum time between two fetches because of unknown keys.",
                },
                "timeout": {
                    "type": "string",
                    "format": "duration",
                    "x-above-zero": True,
                    "default": "5s",
                    "description": "Time limit of a fetch.",
                },
                "allow_http": {
                    "type": "boolean",
                    "default": False,
                    "description": "Allow fetching without TLS from another machine, although an attacker could then "
                    "replace the keys.",
                },
            },
            "additionalProperties": False,
            "description": "A set of public keys (JWKS), from a URL or a file; tokens name their key by `kid`.",
        },
        "algorithms": {
            "type": "array",
            "items": {"enum": list(ALGORITHMS)},
            "minItems": 1,
            "uniqueItems": True,
            "description": "Allowed signature algorithms. Default: those that fit the keys.",
        },
        "issuer": {
            **_TEXT_OR_TEXTS,
            "description": "The required value of the claim `iss`, or a list of allowed values.",
        },
        "audience": {
            **_TEXT_OR_TEXTS,
            "description": "A required value in the claim `aud`, or a list of allowed values. Without it, tokens that "
            "have an audience are refused, because they are meant for another service.",
        },
        "leeway": {
            "type": "string",
            "format": "duration",
            "default": "30s",
            "description": "Allowed difference between the clocks of the issuer and of this machine.",
        },
        "require": {
            **_TEXTS,
            "default": ["exp"],
            "description": "Claims that must be present.",
        },
        "tenants": {
            **_TEXTS,
            "minItems": 1,
            "description": "Allowed tenants; others are refused with 403. Default: all, and users without a tenant.",
        },
        "user_claim": {
            "type": "string",
            "minLength": 1,
            "default": "sub",
            "description": "The claim with the user's id.",
        },
        "tenant_claim": {
            "type": "string",
            "minLength": 1,
            "default": "tenant_id",
            "description": "The claim with the tenant's id.",
        },
        "permissions_claim": {
            "type": "string",
            "minLength": 1,
            "default": "permissions",
            "description": "The claim with the user's permissions, a list; `scope` and `scp` may be a string separated "
            "by spaces.",
        },
        "claims": {
            **_TEXTS,
            "default": [],
            "description": "Other claims that handlers can read in request.principal.claims.",
        },
        "max_token_size": {
            "type": "string",
            "format": "size",
            "x-above-zero": True,
            "default": "8KiB",
            "description": "Maximum size of a token; a longer one is refused. Handshake headers are limited to 16KiB.",
        },
    },
    "additionalProperties": False,
}
