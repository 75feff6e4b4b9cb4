"""The error of a request that the state machine gives up."""

from __future__ import annotations

from typing import Any

from streamer.client.connection_errors import ConnectionFailed, ConnectionLost, MessageTooLarge, NotAnswered
from streamer.client.errors import RequestFailed, request_failed
from streamer.client.machine.effects import End, Why
from streamer.client.machine.state import ABNORMAL
from streamer.client.messages import Inbound
from streamer.core.errors import INTERNAL_ERROR, StreamerError


def error_of(effect: End, url: str, limit: int, cause: Any) -> StreamerError:
    """The error of the request.

    Args:
        effect: why the request ends.
        url: of the service, for messages.
        limit: maximum bytes of a message that this client accepts.
        cause: the origin of the event: the message, or the error of a try.
    """
    code = ABNORMAL if effect.code is None else effect.code
    match effect.why:
        case Why.REFUSED:
            assert isinstance(cause, ConnectionFailed)
            return cause
        case Why.ERROR:
            return _of_message(cause[0], effect.id)
        case Why.FUNCTION_FAILED:
            text = f"{effect.reason}, {effect.times} times in a row"
            return request_failed({"code": INTERNAL_ERROR, "message": text}, effect.id)
        case Why.NOT_ANSWERED:
            return NotAnswered(url, code, effect.reason, request_id=effect.id, times=effect.times, stored=effect.stored)
        case Why.ANSWER_TOO_LARGE:
            return MessageTooLarge(url, effect.reason, request_id=effect.id, limit=limit)
        case Why.REQUEST_TOO_LARGE:
            return MessageTooLarge(url, effect.reason, request_id=effect.id, sent=effect.size)
        case Why.LOST:
            return ConnectionLost(url, code, effect.reason, request_id=effect.id)


def _of_message(message: Inbound, request_id: str) -> RequestFailed:
    # API Gateway's own errors have only a message.
    error = {"message": message.message} if message.error is None and message.message else message.error
    return request_failed(error, request_id, message.data)
