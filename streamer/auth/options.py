"""JSON Schemas of the options, apart from what uses them: reading them imports nothing heavy."""

from __future__ import annotations

from typing import Any, Final

ALGORITHMS: Final = ("RS256", "ES256", "EdDSA", "HS256")
"""What a token may be signed with. Each belongs to one type of key, and no key is ever tried with another."""

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
            "description": "Yes, everybody who can reach server.host may use this service; needed where that is not "
            "this machine alone.",
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
            "description": "The shared secret of HS256, at least 32 bytes; take it from the environment.",
            "examples": ["${JWT_SECRET}"],
        },
        "public_key": {
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "properties": {"file": {**_FILE, "description": "A file with it."}},
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
                    "description": "Where the keys are fetched: in the background, ahead of need.",
                },
                "file": {**_FILE, "description": "A file with the keys; it is read again when it changes."},
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
                    "description": "The least time between two fetches for keys that are not known yet.",
                },
                "timeout": {
                    "type": "string",
                    "format": "duration",
                    "x-above-zero": True,
                    "default": "5s",
                    "description": "The longest that a fetch may take.",
                },
                "allow_http": {
                    "type": "boolean",
                    "default": False,
                    "description": "Fetch without TLS from another machine; whoever stands between can then let "
                    "anybody in.",
                },
            },
            "additionalProperties": False,
            "description": "A set of public keys (JWKS), from a URL or a file; tokens name theirs by `kid`.",
        },
        "algorithms": {
            "type": "array",
            "items": {"enum": list(ALGORITHMS)},
            "minItems": 1,
            "uniqueItems": True,
            "description": "What tokens may be signed with; when left out, what fits the keys.",
        },
        "issuer": {**_TEXT_OR_TEXTS, "description": "What the claim `iss` must be, or one of these."},
        "audience": {
            **_TEXT_OR_TEXTS,
            "description": "What the claim `aud` must hold, or one of these. When left out, tokens for an audience "
            "are refused: they are meant for somebody else.",
        },
        "leeway": {
            "type": "string",
            "format": "duration",
            "default": "30s",
            "description": "How far the clocks of the issuer and of this machine may differ.",
        },
        "require": {
            **_TEXTS,
            "default": ["exp"],
            "description": "Claims that must be there.",
        },
        "tenants": {
            **_TEXTS,
            "minItems": 1,
            "description": "Tenants that are let in, others get 403; all, and users without one, when left out.",
        },
        "user_claim": {
            "type": "string",
            "minLength": 1,
            "default": "sub",
            "description": "The claim that says who it is.",
        },
        "tenant_claim": {
            "type": "string",
            "minLength": 1,
            "default": "tenant_id",
            "description": "The claim that says of which tenant.",
        },
        "permissions_claim": {
            "type": "string",
            "minLength": 1,
            "default": "permissions",
            "description": "The claim with a list of what the user may do; `scope` and `scp` may be one text with "
            "spaces between.",
        },
        "claims": {
            **_TEXTS,
            "default": [],
            "description": "Other claims that handlers see in request.principal.claims.",
        },
        "max_token_size": {
            "type": "string",
            "format": "size",
            "x-above-zero": True,
            "default": "8KiB",
            "description": "A longer token is refused unread. A handshake's headers may hold 16KiB in all.",
        },
    },
    "additionalProperties": False,
}
