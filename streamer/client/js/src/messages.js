/** The service's messages, as the client reads them. */

import { Kind } from "./state.js";

const BUSY = new Set(["RATE_LIMITED", "OVERLOADED"]);
const KINDS = { acknowledgment: Kind.ACKNOWLEDGED, progress: Kind.PROGRESS };

/** Parses a message; anything else is ignored. API Gateway's own errors have only a `message`. */
function parsed(data) {
  try {
    return { type: "error", ...JSON.parse(data) };
  } catch {
    return {};
  }
}

/** Joins messages that arrive in parts, because they were too long for the transport. */
export class Joiner {
  #parts = new Map(); // the received parts by message

  /** The message; null while parts of it are missing. */
  read(data) {
    const message = parsed(data);
    if (message.type !== "part") return message;
    const { part_of: name, index, count, data: piece } = message;
    const parts = this.#parts.get(name) ?? new Map();
    this.#parts.set(name, parts.set(index, piece));
    if (parts.size < count) return null;
    this.#parts.delete(name);
    return parsed([...parts].sort(([one], [other]) => one - other).map(([, text]) => text).join(""));
  }
}

/** The meaning of a message for the state machine; null if it has none. */
export function eventOf(message, now) {
  const { request_id: id, type, error, seq = null, success } = message;
  if (id == null) {
    const gateway = error == null && Boolean(message.message);
    if (error == null && !gateway) return null;
    return { event: "unaddressed", now, reason: gateway ? String(message.message) : "", gateway };
  }
  if (type === "error" && BUSY.has(error?.code)) {
    const { reconnect, retry_after_ms: delay } = error.details ?? {};
    return { event: "message", id, kind: Kind.BUSY, seq, reconnect: reconnect === true, delay: typeof delay === "number" ? delay : null };
  }
  const terminal = type === "response" || type === "complete" || type === "error";
  const ending = success === true && type !== "error" ? Kind.SUCCEEDED : Kind.FAILED;
  return { event: "message", id, kind: terminal ? ending : (KINDS[type] ?? Kind.OTHER), seq };
}
