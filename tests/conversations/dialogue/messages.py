"""The messages of the service as `Client.heard` gives them, to be compared with."""

from __future__ import annotations

from typing import Any

from dialogue.relay import Message


def response(request_id: str, data: Any) -> Message:
    return {"type": "response", "request_id": request_id, "success": True, "data": data}


def acknowledgment(request_id: str) -> Message:
    message = "Request queued for async processing"
    return {"type": "acknowledgment", "request_id": request_id, "status": "queued", "message": message}


def progress(request_id: str, percentage: float, message: str, **metadata: Any) -> Message:
    told = {"type": "progress", "request_id": request_id, "percentage": percentage, "message": message}
    return told | ({"metadata": metadata} if metadata else {}) | {"timestamp": "<time>"}


def complete(request_id: str, result: Any) -> Message:
    return {"type": "complete", "request_id": request_id, "success": True, "result": result, "timestamp": "<time>"}


def error(request_id: str | None, code: str, message: str, **details: Any) -> Message:
    told = {"code": code, "message": message, "retryable": False, "details": details}
    return {"type": "error", "error": told} | ({"request_id": request_id} if request_id else {})


def step(request_id: str, number: int) -> Message:
    """What `steps` reports."""
    return progress(request_id, 25 * number, f"Step {number} of 3", step=number)


def echo(payload: Any, action: str = "echo") -> Any:
    """What `echo` answers."""
    return {"echo": payload, "action": action, "received_at": "<time>"}
