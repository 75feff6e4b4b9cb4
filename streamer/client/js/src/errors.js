/** What a client rejects with. */

import { TOO_LARGE, Why, finalClose } from "./state.js";

/** A request was refused or has failed: the service's error, as it came. */
export class StreamerError extends Error {
  constructor(code, message, { details = {}, retryable = false, requestId = null, data = null, cause } = {}) {
    super(message, { cause });
    this.name = new.target.name;
    Object.assign(this, { code, details, retryable, requestId, data });
  }
}

/** The connection ended while something waited, or none could be opened: browsers do not tell scripts why. */
export class ConnectionLost extends StreamerError {
  constructor(url, { code, reason, cause }, requestId = null) {
    const goesOn = requestId === null ? "" : `; if request ${requestId} was queued it goes on, and can be resumed`;
    const why = [code, reason].filter(Boolean).join(" ");
    super("CONNECTION_LOST", `No connection to ${url} (${why})${goesOn}`, { retryable: !finalClose(code), requestId, cause });
    Object.assign(this, { url, closeCode: code, reason });
  }
}

/** Each time the request was sent, the connection ended before its answer. The service may have run it each time. */
export class NotAnswered extends ConnectionLost {
  constructor(url, how, requestId, times, stored) {
    super(url, how, requestId);
    const why = [how.code, how.reason].filter(Boolean).join(" ");
    const ended = `each time the connection ended first (at last with ${why})`;
    this.message = stored
      ? `Request ${requestId} is queued and goes on, but ${url} was asked ${times} times what has become of it, and ${ended}. ` +
        `Find out what ends the connections, then resume it or ask for its status`
      : `Request ${requestId} was not answered: it was sent ${times} times to ${url}, and ${ended}. It is not sent again. ` +
        `The service may have run it each time: its log may say what became of it, and a proxy before it may wait for less ` +
        `time than it takes; if it was queued it goes on, and can be resumed`;
    Object.assign(this, { code: "NOT_ANSWERED", retryable: false, times, stored });
  }
}

/** The request, or what came of it, is larger than the other side takes. The other requests go on. */
export class MessageTooLarge extends ConnectionLost {
  constructor(url, reason, requestId, message) {
    super(url, { code: TOO_LARGE, reason }, requestId);
    Object.assign(this, { code: "MESSAGE_TOO_LARGE", message });
  }
}

export function serviceError(error, requestId, data) {
  const { code = "INTERNAL_ERROR", message = "The service did not say why", details, retryable } = error ?? {};
  return new StreamerError(code, message, { details, retryable, requestId, data });
}

/** The error with which a request ends that the state machine gives up. The cause is a message, or how a try failed. */
export function errorOf({ id, why, code, reason, times, size, stored }, url, cause) {
  switch (why) {
    case Why.REFUSED:
      return new ConnectionLost(url, cause, id);
    case Why.ERROR:
      return serviceError(cause.error ?? cause, id, cause.data);
    case Why.FUNCTION_FAILED:
      return serviceError({ message: `${reason}, each of ${times} times` }, id);
    case Why.NOT_ANSWERED:
      return new NotAnswered(url, { code, reason }, id, times, stored);
    case Why.ANSWER_TOO_LARGE:
      return new MessageTooLarge(url, reason, id,
        `The answer to request ${id} is too large for the WebSocket of this client; raise its maxPayload, or let the service send less`);
    case Why.REQUEST_TOO_LARGE:
      return new MessageTooLarge(url, reason, id,
        `Request ${id} is too large: the service does not take a message of ${size} characters; send less, or raise ` +
        `server.max_message_size in its configuration`);
    default:
      return new ConnectionLost(url, { code, reason }, id);
  }
}
