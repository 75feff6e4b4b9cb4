"""JSON Schemas of the built-in handlers' options, separate from the handlers: reading them imports nothing heavy."""

from __future__ import annotations

from typing import Any, Final

DELAY: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "delay": {
            "type": "string",
            "format": "duration",
            "default": "300ms",
            "description": "How long it waits; also the estimate.",
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
                "The program and its arguments, passed without a shell. "
                "A program with a slash is relative to this file's folder, one without is searched in PATH."
            ),
            "examples": [["./resize.sh", "--width", "640"]],
        },
        "cwd": {
            "type": "string",
            "format": "path",
            "default": ".",
            "description": "The working directory. Default: this file's folder.",
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
                "Variables of the service's environment that it gets. false: PATH, HOME, USER, TMPDIR, language and "
                "time zone; a list of names: those in addition; true: all, including secrets."
            ),
        },
        "timeout": {
            "type": "string",
            "format": "duration",
            "description": "Time limit of one run. Default: the action's timeout.",
        },
        "max_output": {
            "type": "string",
            "format": "size",
            "default": "1MiB",
            "description": "Maximum size of one line of its output.",
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
            "description": "The URL of the endpoint.",
            "examples": ["https://api.example.com/quote"],
        },
        "allow_private": {
            "type": "boolean",
            "default": False,
            "description": (
                "Whether the name in the url may resolve to this machine or a private network. An address that is "
                "written in the url, and localhost, are always allowed."
            ),
        },
        "method": {
            "enum": ["POST", "PUT", "PATCH", "GET"],
            "default": "POST",
            "description": (
                "With GET, the payload's strings, numbers and booleans are added to the url's query, except those that "
                "the url already contains, and there is no body."
            ),
        },
        "headers": {
            "type": "object",
            "additionalProperties": {"type": "string", "writeOnly": True},
            "description": (
                "Headers that are added to every request. They replace those of the service (Content-Type, Accept, "
                "User-Agent, X-Request-Id and others)."
            ),
        },
        "timeout": {
            "type": "string",
            "format": "duration",
            "default": "30s",
            "description": "Time limit of the whole exchange, including a streamed answer.",
        },
        "max_response": {
            "type": "string",
            "format": "size",
            "default": "10MiB",
            "description": "Maximum size of the answer, or of one line of a streamed answer.",
        },
        "retry_statuses": {
            "type": "array",
            "items": {"type": "integer", "minimum": 300, "maximum": 599},
            "uniqueItems": True,
            "default": [408, 425, 429, 500, 502, 503, 504],
            "description": "Response statuses that make the error retryable.",
        },
    },
    "required": ["url"],
    "additionalProperties": False,
}
