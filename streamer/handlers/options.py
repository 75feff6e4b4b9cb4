"""JSON Schemas of the built-in handlers' options, apart from the handlers: reading them imports nothing heavy."""

from __future__ import annotations

from typing import Any, Final

DELAY: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "delay": {
            "type": "string",
            "format": "duration",
            "default": "300ms",
            "description": "How long it takes; the estimate too.",
        },
    },
    "additionalProperties": False,
}

COMMAND: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "argv": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "prefixItems": [{"type": "string", "minLength": 1}],
            "description": (
                "The program and its arguments, handed over as they are: there is no shell. "
                "A program with a slash is relative to this file's folder, one without is looked for in PATH."
            ),
            "examples": [["./resize.sh", "--width", "640"]],
        },
        "cwd": {
            "type": "string",
            "format": "path",
            "default": ".",
            "description": "Where it runs; this file's folder unless told otherwise.",
        },
        "env": {
            "type": "object",
            "additionalProperties": {"type": "string", "writeOnly": True},
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
            "description": "Variables that are added to its environment.",
        },
        "inherit_env": {
            "anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "string"}}],
            "default": False,
            "description": (
                "What it gets of the service's own environment: false for PATH, HOME, USER, TMPDIR, the language and "
                "the time zone; a list of names for those too; true for all of it, secrets included."
            ),
        },
        "timeout": {
            "type": "string",
            "format": "duration",
            "description": "How long one run may take; without it, as long as the action may.",
        },
        "max_output": {
            "type": "string",
            "format": "size",
            "default": "1MiB",
            "description": "How long one line of its output may be.",
        },
    },
    "required": ["argv"],
    "additionalProperties": False,
}

HTTP: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "url": {
            "type": "string",
            "pattern": "^https?://",
            "description": "Where requests are forwarded to.",
            "examples": ["https://api.example.com/quote"],
        },
        "allow_private": {
            "type": "boolean",
            "default": False,
            "description": (
                "Whether the name in the url may lead to this machine or to a private network. An address that is "
                "written in the url itself, and localhost, always may."
            ),
        },
        "method": {
            "enum": ["POST", "PUT", "PATCH", "GET"],
            "default": "POST",
            "description": (
                "With GET the payload's strings, numbers and booleans are added to the url's query, except those that "
                "the url itself sets, and there is no body."
            ),
        },
        "headers": {
            "type": "object",
            "additionalProperties": {"type": "string", "writeOnly": True},
            "description": (
                "Headers that are added to every request. One that the service sets too (Content-Type, Accept, "
                "User-Agent, X-Request-Id and the like) is replaced, whatever its case."
            ),
        },
        "timeout": {
            "type": "string",
            "format": "duration",
            "default": "30s",
            "description": "How long the whole exchange may take, a streamed answer included.",
        },
        "max_response": {
            "type": "string",
            "format": "size",
            "default": "10MiB",
            "description": "How long the answer, or one line of a streamed one, may be.",
        },
        "retry_statuses": {
            "type": "array",
            "items": {"type": "integer", "minimum": 300, "maximum": 599},
            "uniqueItems": True,
            "default": [408, 425, 429, 500, 502, 503, 504],
            "description": "Statuses after which the same request may succeed later.",
        },
    },
    "required": ["url"],
    "additionalProperties": False,
}
