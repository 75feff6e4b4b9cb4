/** The state of a client: its connection, its requests, and the limits; see `machine/state.py`. */

import { Table } from "./table.js";

export const FIRST_DELAY = 500; // milliseconds: the longest delay before the second attempt; it doubles with each further one
export const MOST_DOUBLINGS = 30;
export const ASK_AGAIN = 1000; // milliseconds until a request is sent again that was refused temporarily without a delay
export const TURN = 10_000; // milliseconds that others wait at most for the answer to a request that is sent alone
export const MOST_BREAKS = 3; // connections that may end while a single request is unanswered, before the request fails
export const MOST_OUTLIVED = 5; // the same if the service's process kept running
export const MOST_SHARED = 10; // the same if it was never sent alone or is stored, or a gateway closed the connections
export const MOST_SENDS = 10; // how often a request is sent to a service whose functions fail, before the request fails

export const CLOSED_HERE = { code: 1000, reason: "closed by this client" };
export const GOING_AWAY = 1001; // of a gateway that closes a connection regularly
export const ABNORMAL = 1006; // of a connection that ended without a close code
export const TOO_LARGE = 1009;
export const TOKEN_EXPIRED = 3500;
export const UNAUTHORIZED = 401;
export const NO_CAUSE = new Set([1012, 1013, 3001, TOKEN_EXPIRED, 3501]); // no request causes these
const FINAL_CODES = new Set([1003, 1007, 1008, TOO_LARGE]);
const FINAL_STATUSES = new Set([400, UNAUTHORIZED, 403, 404]);

/** Whether a close code says that connecting again is useless for the request that caused it; see `final_close` in Python. */
export const finalClose = (code) => (code >= 3500 && code < 4000) || FINAL_CODES.has(code);

/** Whether an HTTP status of the handshake says that trying again is useless. */
export const finalRefusal = (status) => FINAL_STATUSES.has(status);

export const Phase = {
  IDLE: "idle", WAITING: "waiting", CONNECTING: "connecting", OPEN: "open", REFUSED: "refused", CLOSED: "closed",
};

/** Who waits for a request: a caller; no caller, and it must be cancelled; no caller, and it continues. */
export const Interest = { AWAITED: "awaited", CANCELLED: "cancelled", LEFT: "left" };

/** What a message means for its request. */
export const Kind = {
  ACKNOWLEDGED: "acknowledged", PROGRESS: "progress", SUCCEEDED: "succeeded", FAILED: "failed", BUSY: "busy", OTHER: "other",
};

/** Why a request ends without its own answer. */
export const Why = {
  LOST: "lost", REFUSED: "refused", NOT_ANSWERED: "not_answered", ANSWER_TOO_LARGE: "answer_too_large",
  REQUEST_TOO_LARGE: "request_too_large", ERROR: "error", FUNCTION_FAILED: "function_failed",
};

export const OPTIONS = { reconnect: true, renewable: false, longest: 30_000, name: "ask" };

const REQUEST = {
  size: 0, stored: false, resend: true, patient: false, interest: Interest.AWAITED, about: null, seq: -1, sends: 0,
  sent: false, unanswered: false, breaks: 0, deaths: 0, outlived: 0, alone: false, undecided: false, refusals: 0,
  suspect: false,
};

const STATE = {
  phase: Phase.IDLE, epoch: 0, tries: 0, wanted: false, retried: false, refreshed: false, reopens: false, opened_at: 0,
  process: null, lost: null, last: null, added: 0, asked: 0, line: [], suspect: null, awaited: null,
};

export const newRequest = (id, order, fields) => ({ ...REQUEST, id, order, ...fields });

export const newBreak = (code, reason, process = null) => ({ code, reason, process });

export const newState = (options, fields) => ({ ...STATE, options: { ...OPTIONS, ...options }, requests: new Table(), ...fields });

export const replace = (record, fields) => ({ ...record, ...fields });
