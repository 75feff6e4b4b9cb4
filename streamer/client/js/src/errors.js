/** The errors of a client. */

import { TOO_LARGE, Why, finalClose } from "./state.js";

/** A request was refused or has failed. Contains the service's error. */
export class StreamerError extends Error {
  constructor(code, message, { details = {}, retryable = false, requestId = null, data = null, cause } = {}) {
    super(message, { cause });
    this.name = new.target.name;
    Object.assign(this, { code, details, retryable, requestId, data });
  }
}

/** The connection ended while a caller waited, or could not be opened. Browsers do not show scripts the reason. */
export class ConnectionLost extends StreamerError {
  constructor(url, { code, reason, cause }, requestId = null) {
    const continues = requestId === null ? "" : `; if request ${requestId} was queued, it continues and can be resumed`;
    const why = [code, reason].filter(Boolean).join(" ");
    super("CONNECTION_LOST", `No connection to ${url} (${why})${continues}`, { retryable: !finalClose(code), requestId, cause });
    Object.assign(this, { url, closeCode: code, reason });
  }
}

/** Each time the request was sent, the connection ended before its answer. The service may have run it each time. */
export class NotAnswered extends ConnectionLost {
  constructor(url, how, requestId, times, stored) {
    super(url, how, requestId);
    const why = [how.code, how.reason].filter(Boolean).join(" ");
    const ended = `each time the connection ended first (most recently with ${why})`;
    this.message = stored
      ? `Request ${requestId} is queued and continues, but ${url} was asked ${times} times for its outcome, and ${ended}. ` +
        `Find out what ends the connections, then resume it or ask for its status`
      : `Request ${requestId} was not answered: it was sent ${times} times to ${url}, and ${ended}. It is not sent again. ` +
        `The service may have run it each time: check its log, and whether the timeout of a proxy is shorter than the ` +
        `request takes. If it was queued, it continues and can be resumed`;
    Object.assign(this, { code: "NOT_ANSWERED", retryable: false, times, stored });
  }
}

/** The request, or a message about it, is larger than the receiver accepts. The other requests continue. */
export class MessageTooLarge extends ConnectionLost {
  constructor(url, reason, requestId, message) {
    super(url, { code: TOO_LARGE, reason }, requestId);
    Object.assign(this, { code: "MESSAGE_TOO_LARGE", message });
  }
}

export function serviceError(error, requestId, data) {
  const { code = "INTERNAL_ERROR", message = "The service gave no reason", details, retryable } = error ?? {};
  return new StreamerError(code, message, { details, retryable, requestId, data });
}

/** The error of a request that the state machine gives up. The cause is a message, or how an attempt failed. */
export function errorOf({ id, why, code, reason, times, size, stored }, url, cause) {
  switch (why) {
    case Why.REFUSED:
      return new ConnectionLost(url, cause, id);
    case Why.ERROR:
      return serviceError(cause.error ?? cause, id, cause.data);
    case Why.FUNCTION_FAILED:
      return serviceError({ message: `${reason}, ${times} times in a row` }, id);
    case Why.NOT_ANSWERED:
      return new NotAnswered(url, { code, reason }, id, times, stored);
    case Why.ANSWER_TOO_LARGE:
      return new MessageTooLarge(url, reason, id,
        `The answer to request ${id} is too large for the WebSocket of this client; raise its maxPayload, or make the service send less`);
    case Why.REQUEST_TOO_LARGE:
      return new MessageTooLarge(url, reason, id,
        `Request ${id} is too large: the service does not accept a message of ${size} characters; send less, or raise ` +
        `server.max_message_size in its configuration`);
    default:
      return new ConnectionLost(url, { code, reason }, id);
  }
}
