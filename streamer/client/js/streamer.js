// Generated from the modules in src by `python -m streamer.client.javascript`: edit those.
/**
 * The JavaScript client of streamer, for browsers and for Node 20 or newer. It has no dependencies.
 *
 *     const client = new StreamerClient("wss://example.com/ws");
 *     const report = await client.request("generate_report", { group_by: "month" }, { onProgress: console.log });
 *
 * The client reconnects while any request waits, and waiting requests survive the break: what the service has
 * acknowledged is resumed, other requests are sent again with the same id. All durations are milliseconds.
 * streamer.d.ts documents the API.
 */

/** An immutable table whose newest version is as fast as a plain Map; see `machine/table.py`. */
class Table {
  #items; // null when another table has it
  #change = null; // the table that has it instead, and the value that differs in this one

  constructor(items = new Map()) {
    this.#items = items;
  }

  get size() { return this.#all().size; }

  has(key) { return this.#all().has(key); }

  get(key) { return this.#all().get(key) ?? null; }

  [Symbol.iterator]() { return this.#all().values(); }

  put(key, value) {
    const items = this.#all();
    const newer = this.#given(items, key);
    items.set(key, value);
    return newer;
  }

  without(key) {
    const items = this.#all();
    const newer = this.#given(items, key);
    items.delete(key);
    return newer;
  }

  #given(items, key) {
    const newer = new Table(items);
    this.#change = { newer, key, value: items.get(key) };
    this.#items = null;
    return newer;
  }

  #all() {
    if (this.#items === null) {
      const undo = [this.#change];
      for (let { newer } = this.#change; newer.#change !== null; { newer } = newer.#change) undo.push(newer.#change);
      const items = new Map(undo.at(-1).newer.#items);
      for (const { key, value } of undo.reverse()) {
        if (value === undefined) items.delete(key);
        else items.set(key, value);
      }
      this.#items = items;
      this.#change = null;
    }
    return this.#items;
  }
}

/** The state of a client: its connection, its requests, and the limits; see `machine/state.py`. */


const FIRST_DELAY = 500; // milliseconds: the longest delay before the second attempt; it doubles with each further one
const MOST_DOUBLINGS = 30;
const ASK_AGAIN = 1000; // milliseconds until a request is sent again that was refused temporarily without a delay
const TURN = 10_000; // milliseconds that others wait at most for the answer to a request that is sent alone
const MOST_BREAKS = 3; // connections that may end while a single request is unanswered, before the request fails
const MOST_OUTLIVED = 5; // the same if the service's process kept running
const MOST_SHARED = 10; // the same if it was never sent alone or is stored, or a gateway closed the connections
const MOST_SENDS = 10; // how often a request is sent to a service whose functions fail, before the request fails

const CLOSED_HERE = { code: 1000, reason: "closed by this client" };
const GOING_AWAY = 1001; // of a gateway that closes a connection regularly
const ABNORMAL = 1006; // of a connection that ended without a close code
const TOO_LARGE = 1009;
const TOKEN_EXPIRED = 3500;
const UNAUTHORIZED = 401;
const NO_CAUSE = new Set([1012, 1013, 3001, TOKEN_EXPIRED, 3501]); // no request causes these
const FINAL_CODES = new Set([1003, 1007, 1008, TOO_LARGE]);
const FINAL_STATUSES = new Set([400, UNAUTHORIZED, 403, 404]);

/** Whether a close code says that connecting again is useless for the request that caused it; see `final_close` in Python. */
const finalClose = (code) => (code >= 3500 && code < 4000) || FINAL_CODES.has(code);

/** Whether an HTTP status of the handshake says that trying again is useless. */
const finalRefusal = (status) => FINAL_STATUSES.has(status);

const Phase = {
  IDLE: "idle", WAITING: "waiting", CONNECTING: "connecting", OPEN: "open", REFUSED: "refused", CLOSED: "closed",
};

/** Who waits for a request: a caller; no caller, and it must be cancelled; no caller, and it continues. */
const Interest = { AWAITED: "awaited", CANCELLED: "cancelled", LEFT: "left" };

/** What a message means for its request. */
const Kind = {
  ACKNOWLEDGED: "acknowledged", PROGRESS: "progress", SUCCEEDED: "succeeded", FAILED: "failed", BUSY: "busy", OTHER: "other",
};

/** Why a request ends without its own answer. */
const Why = {
  LOST: "lost", REFUSED: "refused", NOT_ANSWERED: "not_answered", ANSWER_TOO_LARGE: "answer_too_large",
  REQUEST_TOO_LARGE: "request_too_large", ERROR: "error", FUNCTION_FAILED: "function_failed",
};

const OPTIONS = { reconnect: true, renewable: false, longest: 30_000, name: "ask" };

const REQUEST = {
  size: 0, stored: false, resend: true, patient: false, interest: Interest.AWAITED, about: null, seq: -1, sends: 0,
  sent: false, unanswered: false, breaks: 0, deaths: 0, outlived: 0, alone: false, undecided: false, refusals: 0,
  suspect: false,
};

const STATE = {
  phase: Phase.IDLE, epoch: 0, tries: 0, wanted: false, retried: false, refreshed: false, reopens: false, opened_at: 0,
  process: null, lost: null, last: null, added: 0, asked: 0, line: [], suspect: null, awaited: null,
};

const newRequest = (id, order, fields) => ({ ...REQUEST, id, order, ...fields });

const newBreak = (code, reason, process = null) => ({ code, reason, process });

const newState = (options, fields) => ({ ...STATE, options: { ...OPTIONS, ...options }, requests: new Table(), ...fields });

const replace = (record, fields) => ({ ...record, ...fields });

/** The errors of a client. */


/** A request was refused or has failed. Contains the service's error. */
class StreamerError extends Error {
  constructor(code, message, { details = {}, retryable = false, requestId = null, data = null, cause } = {}) {
    super(message, { cause });
    this.name = new.target.name;
    Object.assign(this, { code, details, retryable, requestId, data });
  }
}

/** The connection ended while a caller waited, or could not be opened. Browsers do not show scripts the reason. */
class ConnectionLost extends StreamerError {
  constructor(url, { code, reason, cause }, requestId = null) {
    const continues = requestId === null ? "" : `; if request ${requestId} was queued, it continues and can be resumed`;
    const why = [code, reason].filter(Boolean).join(" ");
    super("CONNECTION_LOST", `No connection to ${url} (${why})${continues}`, { retryable: !finalClose(code), requestId, cause });
    Object.assign(this, { url, closeCode: code, reason });
  }
}

/** Each time the request was sent, the connection ended before its answer. The service may have run it each time. */
class NotAnswered extends ConnectionLost {
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
class MessageTooLarge extends ConnectionLost {
  constructor(url, reason, requestId, message) {
    super(url, { code: TOO_LARGE, reason }, requestId);
    Object.assign(this, { code: "MESSAGE_TOO_LARGE", message });
  }
}

function serviceError(error, requestId, data) {
  const { code = "INTERNAL_ERROR", message = "The service gave no reason", details, retryable } = error ?? {};
  return new StreamerError(code, message, { details, retryable, requestId, data });
}

/** The error of a request that the state machine gives up. The cause is a message, or how an attempt failed. */
function errorOf({ id, why, code, reason, times, size, stored }, url, cause) {
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

/** Validates the arguments of callers; and small helpers that several modules need. */

const LONGEST_TIMER = 2 ** 31 - 1; // a longer one fires at once
const DURATIONS = ["maxReconnectDelay", "openTimeout", "pingInterval", "pingTimeout"];
const NAME = /^(?:[^\p{C}\p{Z}]| ){1,128}$/u; // ids of requests and clients that a service accepts
const DEFAULTS = {
  reconnect: true, resend: true, maxReconnectDelay: 30_000,
  openTimeout: 10_000, pingInterval: 30_000, pingTimeout: 20_000,
  storageKey: "streamer.client_id", random: Math.random,
};

/** The options without those that are null or undefined, which mean the default. */
function given(options) {
  return Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value != null));
}

/** The options of a client, complete and validated. */
function checkedOptions(options) {
  const checked = { WebSocket: globalThis.WebSocket, ...DEFAULTS, ...options };
  for (const name of DURATIONS) checked[name] = duration(name, checked[name]);
  checkFunctions(checked, ["onStateChange", "random", "WebSocket"]);
  if (checked.WebSocket === undefined) {
    throw new TypeError("There is no global WebSocket; pass one as an option, such as that of the package ws");
  }
  return checked;
}

/** Milliseconds that a timer can wait: Infinity means its maximum. */
function duration(name, value) {
  if (typeof value !== "number" || Number.isNaN(value)) throw new TypeError(`${name} must be a number of milliseconds`);
  if (value <= 0) throw new RangeError(`${name} must be above 0 milliseconds; it is ${value}`);
  return Math.min(value, LONGEST_TIMER);
}

function checkFunctions(options, names) {
  for (const name of names) {
    if (options[name] != null && typeof options[name] !== "function") throw new TypeError(`${name} must be a function`);
  }
}

/** Validated here, since the service could not say which request, or which client, it refuses. */
function checkName(what, name) {
  if (typeof name !== "string" || !NAME.test(name)) throw new TypeError(`${what} must be a string of 1 to 128 printable characters`);
}

function checkRequest({ id, wait, signal }) {
  if (signal !== undefined && typeof signal.addEventListener !== "function") throw new TypeError("signal must be an AbortSignal");
  checkName("id", id);
  if (typeof wait === "number" && !(wait >= 0 && wait < Infinity)) {
    throw new RangeError(`wait must be zero or more seconds, or a string such as "2s"; it is ${wait}`);
  }
}

function startTimer(act, milliseconds) {
  return setTimeout(act, Math.min(Math.max(Number(milliseconds) || 0, 0), LONGEST_TIMER));
}

function randomId(prefix = "") {
  // Not randomUUID, which pages without TLS do not have.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return prefix + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  // A waiting caller gets the failure; without a caller it is no unhandled rejection.
  made.promise.catch(() => {});
  return made;
}

/** Calls soon, in order: an exception of a callback neither breaks the connection nor is lost. */
function callBack(callback, ...values) {
  if (callback) queueMicrotask(() => callback(...values));
}

/** The client's token: its validation, and its renewal on an open connection before it expires. */


const RENEW_AFTER = 0.8; // of a token's remaining lifetime
const LEAST_WAIT = 1000; // milliseconds between renewals, whatever the token says
const CLOCKS_DIFFER = 60_000; // until the renewal of an accepted token that has already expired by this clock

/** The token as a subprotocol contains it, without the line break at the end of a file. */
function usable(token) {
  if (typeof token !== "string") throw new TypeError(`a token must be a string; it is ${token === null ? "null" : typeof token}`);
  const text = token.trim();
  if (text === "") throw new TypeError("the token is empty");
  const wrong = /[^!#$%&'*+.^_`|~0-9A-Za-z-]/u.exec(text);
  if (wrong) {
    const point = wrong[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    throw new TypeError(`the token contains U+${point} at position ${wrong.index}, which subprotocols cannot contain`);
  }
  return text;
}

/** When a JSON Web Token expires; NaN when it has no expiry. Verifying it is the task of the service. */
function expiry(token) {
  try {
    const body = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(body)).exp * 1000;
  } catch {
    return NaN;
  }
}

/** Sends the service a fresh token before the connection's token expires; if that fails, the service closes it. */
class Renewal {
  #bring;
  #prove;
  #timer;
  #round = 0; // results of earlier ones are ignored

  constructor(bring, prove) {
    this.#bring = bring;
    this.#prove = prove;
  }

  /** The connection is open with this token. */
  begin(token) {
    this.stop();
    const left = expiry(token) - Date.now();
    if (Number.isNaN(left)) return;
    const round = this.#round;
    this.#timer = startTimer(async () => {
      try {
        const fresh = usable(await this.#bring());
        if (this.#round !== round) return;
        await this.#prove(fresh);
        if (this.#round === round) this.begin(fresh);
      } catch {
        // The service closes with 3500, and the next attempt gets a token.
      }
    }, left > 0 ? Math.max(left * RENEW_AFTER, LEAST_WAIT) : CLOCKS_DIFFER);
  }

  /** The connection has ended. */
  stop() {
    clearTimeout(this.#timer);
    this.#round += 1;
  }
}

/** One attempt to connect, and its WebSocket. */


const isTooLarge = ({ error, message }) =>
  error?.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" || /payload size|too (large|big)/i.test(error?.message ?? message ?? "");

/** Reports events until it is left, or has reported its failure or end. */
class ClientSocket {
  #options;
  #says; // opened, failed, ended, message
  #socket = null;
  #timer;
  #isOpen = false;
  #isLeft = false;
  #refused = false; // the socket refused a message because of its size

  constructor(options, says) {
    this.#options = options;
    this.#says = says;
  }

  /** Gets a token and connects. */
  async dial(address, source) {
    const { openTimeout } = this.#options;
    let token = source;
    if (typeof source === "function") {
      this.#timer = startTimer(() => this.#fail(`the token function did not return within ${openTimeout} ms`), openTimeout);
      try {
        token = usable(await source());
      } catch (cause) {
        this.#fail(`the token function failed: ${cause?.message ?? cause}`, cause);
        return;
      }
    }
    if (this.#isLeft) return;
    clearTimeout(this.#timer);
    try {
      // A browser fails a handshake in which it offered a subprotocol and none was accepted.
      this.#socket = new this.#options.WebSocket(address, token == null ? [] : ["bearer", token]);
    } catch (error) {
      // The WebSocket may accept the next token.
      this.#fail(`it cannot be opened: ${error?.message ?? error}`, error, typeof source !== "function");
      return;
    }
    this.#listen(token);
    this.#timer = startTimer(() => {
      this.#socket.close();
      this.#fail("the service did not answer");
    }, openTimeout);
  }

  send(text) { this.#socket.send(text); }

  /** A browser would report the end of the connection only after minutes. */
  giveUp(reason) {
    if (this.#isLeft) return;
    this.leave();
    this.#socket.close();
    this.#says.ended({ code: ABNORMAL, reason });
  }

  /** Ignores all further events. */
  leave() {
    this.#isLeft = true;
    clearTimeout(this.#timer);
  }

  close(...code) { this.#socket?.close(...code); }

  #listen(token) {
    const on = (type, act) => this.#socket.addEventListener(type, (event) => this.#isLeft || act(event));
    on("open", () => {
      clearTimeout(this.#timer);
      this.#isOpen = true;
      this.#says.opened(token);
    });
    on("message", ({ data }) => this.#says.message(data));
    on("close", ({ code, reason }) => {
      this.leave();
      if (this.#isOpen) this.#says.ended({ code, reason }, this.#refused);
      else this.#says.failed({ code, reason }, false);
    });
    // Some implementations report no close of a connection that never opened, only an error.
    on("error", (event) => {
      if (this.#isOpen) this.#refused ||= isTooLarge(event);
      else this.#fail("", event.error);
    });
  }

  #fail(reason, cause, final = false) {
    if (this.#isLeft) return;
    this.leave();
    this.#says.failed({ code: ABNORMAL, reason, cause }, final);
  }
}

/** The service's messages, as the client reads them. */


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
class Joiner {
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
function eventOf(message, now) {
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

/** What a client must do; see `machine/effects.py`. */
const effects = {
  dial: (epoch) => ({ effect: "dial", epoch }),
  hangUp: (polite) => ({ effect: "hang_up", polite }),
  wait: (epoch, longest, tries, code, reason) => ({ effect: "wait", epoch, longest, tries, code, reason }),
  report: (phase, code = null, reason = "") => ({ effect: "report", phase, code, reason }),
  tried: (failed) => ({ effect: "tried", failed }),
  reopened: () => ({ effect: "reopened" }),
  send: (id) => ({ effect: "send", id }),
  ask: (id, question, seq) => ({ effect: "ask", id, question, seq }),
  deliver: (id) => ({ effect: "deliver", id }),
  confirm: (id) => ({ effect: "confirm", id }),
  later: (epoch, id, delay) => ({ effect: "later", epoch, id, delay }),
  turn: (epoch, id, delay) => ({ effect: "turn", epoch, id, delay }),
  end: (id, why, { code = null, reason = "", times = 0, size = 0, stored = false } = {}) => ({
    effect: "end", id, why, code, reason, times, size, stored,
  }),
  forget: (id, sent) => ({ effect: "forget", id, sent }),
  unclear: (waiting) => ({ effect: "unclear", waiting }),
};

/** Decides which request caused a broken connection; see `machine/blame.py`. */


/** Fails the requests that caused the end of the connection; counts, and marks those to be sent alone. */
function blame(state, event, out) {
  if (NO_CAUSE.has(event.code) && !event.refused) return state;
  const sent = inOrder(state).filter((request) => request.sent && request.about === null);
  const unanswered = sent.filter((request) => request.unanswered);
  if (event.refused) return answerTooLarge(state, event, sent, out);
  if (event.code === TOO_LARGE) return requestTooLarge(state, event, unanswered, out);
  // If the service sends the id of its process, the next handshake shows more.
  const decided = state.process === null || event.code !== ABNORMAL;
  const how = newBreak(event.code, event.reason, state.process);
  const counted = unanswered.map((request) =>
    replace(request, {
      breaks: request.breaks + 1,
      deaths: request.deaths + (decided ? 1 : 0),
      suspect: request.breaks + 1 >= MOST_BREAKS - 1,
      alone: unanswered.length === 1,
      undecided: !decided,
    }),
  );
  const next = kept(state, counted);
  return decided ? givenUp(next, counted, how, out) : replace(next, { last: how });
}

/** The same when the next connection has shown that the process kept running. */
function blameLater(state, process, out) {
  const how = state.last;
  if (how === null) return state;
  const counted = inOrder(state).filter(({ undecided }) => undecided).map((request) =>
    replace(request, {
      undecided: false,
      deaths: request.deaths + (process !== how.process ? 1 : 0),
      outlived: request.outlived + (process === how.process && request.alone ? 1 : 0),
    }),
  );
  return givenUp(kept(replace(state, { last: null }), counted), counted, how, out);
}

/** The requests in the order in which they were submitted. */
function inOrder(state) {
  return [...state.requests].sort((one, other) => one.order - other.order);
}

/** The request is over. */
function end(state, out, effect) {
  out.push(effect);
  return replace(state, { requests: state.requests.without(effect.id) });
}

function kept(state, changed) {
  let { requests } = state;
  for (const request of changed) requests = requests.put(request.id, request);
  return replace(state, { requests });
}

function givenUp(state, counted, how, out) {
  for (const request of counted) {
    const few = request.alone && !request.stored && how.code !== GOING_AWAY;
    const mostDeaths = few ? MOST_BREAKS : MOST_SHARED;
    const mostOutlived = request.stored ? MOST_SHARED : MOST_OUTLIVED;
    if (request.deaths >= mostDeaths || request.outlived >= mostOutlived) {
      const { code, reason } = how;
      const { breaks: times, stored } = request;
      state = end(state, out, effects.end(request.id, Why.NOT_ANSWERED, { code, reason, times, stored }));
    }
  }
  return state;
}

/** The connection ended at the start of a message, before its request was known. */
function answerTooLarge(state, { code, reason }, sent, out) {
  const counted = sent.map((request) => replace(request, { refusals: request.refusals + 1, suspect: true }));
  const possible = counted.filter(({ refusals }) => counted.length === 1 || refusals >= MOST_SHARED);
  // Resuming a stored request would have shown this within moments.
  const direct = possible.filter(({ stored }) => !stored);
  const guilty = direct.length > 0 ? direct : possible;
  state = kept(state, counted);
  for (const { id } of guilty) state = end(state, out, effects.end(id, Why.ANSWER_TOO_LARGE, { code, reason }));
  if (guilty.length > 0) {
    // None of the others was the cause.
    const others = inOrder(state).filter(({ refusals }) => refusals > 0);
    state = kept(state, others.map((request) => replace(request, { refusals: 0 })));
  }
  return state;
}

/** The service closes at the first message above its limit, so the largest message certainly is. */
function requestTooLarge(state, { code, reason }, unanswered, out) {
  if (unanswered.length === 0) return state;
  const sizeOf = (request) => (request.stored ? 0 : request.size);
  const largest = unanswered.reduce((one, other) => (sizeOf(other) > sizeOf(one) ? other : one));
  return end(state, out, effects.end(largest.id, Why.REQUEST_TOO_LARGE, { code, reason, size: sizeOf(largest) }));
}

/** Handles the end of an attempt or a connection; see `machine/ends.py`. */


/** Another phase; events of earlier ones are ignored. */
function enter(state, phase) {
  return replace(state, { phase, epoch: state.epoch + 1 });
}

/** Starts an attempt now. */
function dial(state, out) {
  state = replace(enter(state, Phase.CONNECTING), { retried: false, lost: null });
  out.push(effects.report(Phase.CONNECTING), effects.dial(state.epoch));
  return state;
}

/** The first attempt is due at once, further ones after a random delay: exponential back-off with full jitter. */
function wait(state, out, code = null, reason = "") {
  const doublings = Math.min(state.tries - 1, MOST_DOUBLINGS);
  const longest = doublings < 0 ? 0 : Math.min(state.options.longest, FIRST_DELAY * 2 ** doublings);
  state = replace(enter(state, Phase.WAITING), { tries: state.tries + 1 });
  out.push(effects.wait(state.epoch, longest, state.tries, code, reason));
  return state;
}

/** An attempt failed or was refused. */
function failed(state, event, out) {
  const { epoch, code = null, reason = "", status = null, final = false } = event;
  if (state.phase !== Phase.CONNECTING || epoch !== state.epoch) return state;
  if (status === UNAUTHORIZED && state.options.renewable && !state.retried) {
    // The token may have expired on its way, or its key was just replaced: try once more, then it is invalid.
    state = replace(enter(state, Phase.CONNECTING), { retried: true });
    out.push(effects.dial(state.epoch));
    return state;
  }
  out.push(effects.tried(true));
  if (final || finalRefusal(status) || !state.options.reconnect) {
    for (const { id } of inOrder(state)) state = end(state, out, effects.end(id, Why.REFUSED));
    out.push(effects.report(Phase.REFUSED, code, reason));
    return replace(enter(state, Phase.REFUSED), { wanted: false });
  }
  return goOn(state, code, reason, out);
}

/** A connection has ended; `expected`: this client ended it for a reason that no request caused. */
function ended(state, { epoch, code, reason = "", now = 0, refused = false }, out, expected = false) {
  if ((state.phase !== Phase.CONNECTING && state.phase !== Phase.OPEN) || epoch !== state.epoch) return state;
  if (state.phase === Phase.CONNECTING) {
    out.push(effects.tried(false));
  } else if (now - state.opened_at >= state.options.longest) {
    // Only a stable connection resets the count, so that a service that drops every connection is not overloaded.
    state = replace(state, { tries: 0, refreshed: false });
  }
  // An expired token allows another connection if a fresh token can be obtained.
  const refresh = code === TOKEN_EXPIRED && state.options.renewable && !state.refreshed;
  if (refresh) state = replace(state, { refreshed: true });
  if (!expected) {
    const before = state.requests.size;
    state = blame(state, { code, reason, refused }, out);
    // The cause is known, and will not end the next connection.
    if (state.requests.size < before) state = replace(state, { tries: 0 });
  }
  // The message that was too large is identified and not sent again; the other requests continue.
  const helps = refresh || code === TOO_LARGE || !finalClose(code);
  if (!(state.options.reconnect && helps)) return finish(state, newBreak(code, reason), out);
  return goOn(beginAnew(state, code, reason, out), code, reason, out);
}

/** Fails everything that waits. */
function finish(state, lost, out) {
  const { code, reason } = lost;
  for (const { id, about } of inOrder(state)) {
    if (about === null) state = end(state, out, effects.end(id, Why.LOST, { code, reason }));
  }
  if (state.phase !== Phase.REFUSED) out.push(effects.report(Phase.CLOSED, code, reason));
  const { options, tries, refreshed, added, asked } = state;
  return newState(options, { phase: Phase.CLOSED, epoch: state.epoch + 1, tries, refreshed, lost, added, asked });
}

/** The program closes the client. */
function close(state, out) {
  if (state.phase === Phase.CLOSED) return state;
  if (state.phase === Phase.CONNECTING) out.push(effects.tried(true));
  if (state.phase === Phase.CONNECTING || state.phase === Phase.OPEN) out.push(effects.hangUp(true));
  return finish(state, newBreak(CLOSED_HERE.code, CLOSED_HERE.reason), out);
}

/** No caller waits in `connect()`; the attempt continues only if something else waits for it. */
function withdraw(state, out) {
  if (state.phase !== Phase.CONNECTING || needed(state)) return state;
  out.push(effects.hangUp(false), effects.report(Phase.IDLE));
  return enter(state, Phase.IDLE);
}

/** Marks what the next connection may send as unsent. */
function beginAnew(state, code, reason, out) {
  for (const request of inOrder(state)) {
    if (request.about !== null) {
      state = replace(state, { requests: state.requests.without(request.id) });
    } else if (!request.stored && !request.resend && request.sends > 0) {
      state = end(state, out, effects.end(request.id, Why.LOST, { code, reason }));
    } else if (request.sent) {
      const unsent = replace(request, { sent: false, unanswered: false });
      state = replace(state, { requests: state.requests.put(request.id, unsent) });
    }
  }
  return replace(state, { line: [], awaited: null, process: null });
}

function goOn(state, code, reason, out) {
  if (needed(state)) return wait(state, out, code, reason);
  out.push(effects.report(Phase.IDLE, code, reason));
  return enter(state, Phase.IDLE);
}

function needed(state) {
  return state.wanted || [...state.requests].some(({ interest }) => interest !== Interest.LEFT);
}

/** Decides what a connection sends, and when; see `machine/sending.py`. */


/** Sends waiting requests over a new connection, in the order in which they were submitted. */
function sendAll(state, out) {
  for (const request of inOrder(state)) {
    if (request.interest !== Interest.AWAITED) state = forget(state, request, out);
  }
  const waiting = inOrder(state);
  // The request that was sent just before the connection ended is the likeliest cause. A stored one stays in progress
  // after its turn and would be suspected again, so those that end with their answer come first.
  const rank = (request) => (request.id !== state.suspect ? 2 : 0) + (request.stored ? 1 : 0);
  const suspects = waiting.filter(({ suspect }) => suspect).sort((one, other) => rank(one) - rank(other));
  const line = [...suspects, ...waiting.filter(({ suspect }) => !suspect)];
  return advance(replace(state, { line: line.map(({ id }) => id) }), out);
}

/** Sends the queue up to the first request that must be sent alone, and that one. */
function advance(state, out) {
  let place = 0;
  state = replace(state, { suspect: null, awaited: null });
  while (place < state.line.length) {
    const request = state.requests.get(state.line[place]);
    place += 1;
    if (request === null || request.sent) continue;
    if (request.interest !== Interest.AWAITED) {
      state = forget(state, request, out);
      continue;
    }
    state = send(state, request, out);
    if (request.suspect) {
      out.push(effects.turn(state.epoch, request.id, TURN));
      const awaited = request.stored ? questionId(state) : request.id;
      return replace(state, { line: state.line.slice(place), suspect: request.id, awaited });
    }
  }
  return replace(state, { line: [] });
}

/** The request that was sent alone was answered, or the others have waited long enough. */
function turnOver(state, out) {
  const request = state.requests.get(state.suspect);
  if (request !== null) {
    state = replace(state, { requests: state.requests.put(request.id, replace(request, { suspect: false })) });
  }
  return advance(state, out);
}

/** Whether the queue no longer waits for anything. */
function wasAnswered(state) {
  const request = state.requests.get(state.awaited);
  return request === null || request.stored || request.interest !== Interest.AWAITED;
}

/** Sends a request, for the first time or again; resumes one that the service has stored. */
function send(state, request, out) {
  const sent = replace(request, { sent: true, unanswered: true, sends: request.sends + 1 });
  const requests = state.requests.put(sent.id, sent);
  if (!sent.stored) {
    out.push(effects.send(sent.id));
    return replace(state, { requests });
  }
  state = replace(state, { asked: state.asked + 1 });
  // Not sent again: the next connection resumes it with the newer seq.
  const question = newRequest(questionId(state), state.added, { resend: false, about: sent.id, sends: 1, sent: true });
  out.push(effects.ask(sent.id, question.id, sent.seq));
  return replace(state, { added: state.added + 1, requests: requests.put(question.id, question) });
}

/** Of the newest resume message. */
function questionId(state) {
  return `${state.options.name}-${state.asked}`;
}

/** No caller waits for the request any longer, and nothing must be done for it here. */
function forget(state, request, out) {
  out.push(effects.forget(request.id, request.stored || request.sends > 0));
  return replace(state, { requests: state.requests.without(request.id) });
}

/** The reaction to a message of the service; see `machine/answers.py`. */


const TERMINAL = new Set([Kind.SUCCEEDED, Kind.FAILED, Kind.BUSY]);

/** A message about one request. */
function message(state, { id, kind, seq = null, reconnect = false, delay = null }, out) {
  if (state.phase !== Phase.OPEN) return state;
  if (state.refreshed) state = replace(state, { refreshed: false }); // the fresh token was accepted
  let request = state.requests.get(id);
  if (request === null) return state;
  if (request.about !== null) return questionAnswered(state, request, kind, delay, out);
  if (kind === Kind.BUSY && !request.stored) {
    // The service is about to close this connection, and the request is sent again on the next one.
    if (reconnect && state.options.reconnect && request.resend) return state;
    if (request.sends > 1 || request.patient) {
      // An earlier message may have been stored; a busy service reveals nothing about it.
      out.push(effects.later(state.epoch, request.id, delay ?? ASK_AGAIN));
      return state;
    }
  }
  if (seq !== null && seq <= request.seq) return state;
  out.push(effects.deliver(request.id));
  if (TERMINAL.has(kind)) return replace(state, { requests: state.requests.without(request.id) });
  if (seq !== null) request = replace(request, { seq });
  else if (kind !== Kind.ACKNOWLEDGED) return state;
  return store(state, request, out);
}

/** The service has the request, and has answered in some way. */
function store(state, request, out) {
  request = replace(request, {
    stored: true, unanswered: false, undecided: false, sends: 0, breaks: 0, deaths: 0, outlived: 0,
  });
  if (request.interest !== Interest.AWAITED) return forget(state, request, out);
  return replace(state, { requests: state.requests.put(request.id, request) });
}

function questionAnswered(state, question, kind, delay, out) {
  if (!TERMINAL.has(kind)) return state;
  state = replace(state, { requests: state.requests.without(question.id) });
  const request = state.requests.get(question.about);
  if (request === null) return state;
  if (kind === Kind.SUCCEEDED) {
    out.push(effects.confirm(request.id));
    return store(state, request, out);
  }
  if (kind === Kind.BUSY) {
    out.push(effects.later(state.epoch, request.id, delay ?? ASK_AGAIN));
    return state;
  }
  return end(state, out, effects.end(request.id, Why.ERROR));
}

/** An error that names no request. */
function unaddressed(state, { now = 0, reason = "", gateway = false }, out) {
  if (state.phase !== Phase.OPEN) return state;
  const unanswered = inOrder(state).filter((request) => request.unanswered && request.about === null);
  if (gateway && state.options.reconnect && unanswered.some(({ stored, resend }) => stored || resend)) {
    // A function failed for one of these requests, and only another connection shows for which. This is limited,
    // because the function may fail because of the request.
    for (const { id, sends: times, stored } of unanswered) {
      if (times < MOST_SENDS) continue;
      // A stored request continues; only its outcome cannot be read.
      const why = stored ? Why.NOT_ANSWERED : Why.FUNCTION_FAILED;
      state = end(state, out, effects.end(id, why, { code: ABNORMAL, reason, times, stored }));
    }
    out.push(effects.hangUp(false));
    return ended(state, { epoch: state.epoch, code: ABNORMAL, reason, now }, out, true);
  }
  // Every request is kept until it is answered, so the error can only belong to this one.
  if (unanswered.length === 1) return end(state, out, effects.end(unanswered[0].id, Why.ERROR));
  out.push(effects.unclear(unanswered.length));
  return state;
}

/** A message that was not read, because it is too large. */
function tooLarge(state, { id }, out) {
  const request = state.requests.get(id);
  if (state.phase !== Phase.OPEN || request === null) return state;
  if (request.about === null) return end(state, out, effects.end(request.id, Why.ANSWER_TOO_LARGE));
  state = replace(state, { requests: state.requests.without(request.id) });
  if (!state.requests.has(request.about)) return state;
  return end(state, out, effects.end(request.about, Why.ANSWER_TOO_LARGE));
}

/** No caller waits for a request any longer. */
function abandoned(state, { id, cancel = false }, out) {
  const request = state.requests.get(id);
  if (request === null || request.interest !== Interest.AWAITED) return state;
  if ((request.stored && cancel) || (!request.stored && request.sends === 0)) return forget(state, request, out);
  const left = replace(request, { interest: cancel ? Interest.CANCELLED : Interest.LEFT });
  return replace(state, { requests: state.requests.put(id, left) });
}

/** The transition for each event; see `machine/transitions.py`, and `machine/__init__.py` for the table of phases. */


/** The state after the event, and the effects, in order. */
function nextState(state, event) {
  const out = [];
  state = ON[event.event](state, event, out);
  if (state.awaited !== null && wasAnswered(state)) state = turnOver(state, out);
  return [state, out];
}

function connect(state, _event, out) {
  if (state.phase === Phase.CONNECTING || state.phase === Phase.OPEN) return state;
  return dial(replace(state, { refreshed: false }), out);
}

function wanted(state, _event, out) {
  if (state.phase === Phase.OPEN || state.phase === Phase.CLOSED) return state;
  return woken(replace(state, { wanted: true }), out);
}

function submitted(state, { id, size = 0, stored = false, resend = true, patient = false }, out) {
  if (state.phase === Phase.CLOSED) {
    const { code, reason } = state.lost;
    out.push(effects.end(id, Why.LOST, { code, reason }));
    return state;
  }
  const request = newRequest(id, state.added, { size, stored, resend, patient });
  state = replace(state, { added: state.added + 1 });
  if (state.phase === Phase.OPEN && state.awaited === null) return send(state, request, out);
  state = replace(state, { requests: state.requests.put(id, request) });
  if (state.phase === Phase.OPEN) return replace(state, { line: [...state.line, id] });
  return woken(state, out);
}

/** Something waits for a connection, which is opened unless that is in progress. */
function woken(state, out) {
  return state.phase === Phase.IDLE || state.phase === Phase.REFUSED ? wait(state, out) : state;
}

function adopted(state, { id }, out) {
  if (state.phase !== Phase.OPEN) return submitted(state, { id, stored: true }, out);
  const request = newRequest(id, state.added, { stored: true, sent: true });
  return replace(state, { added: state.added + 1, requests: state.requests.put(id, request) });
}

function due(state, { epoch }, out) {
  return state.phase === Phase.WAITING && epoch === state.epoch ? dial(state, out) : state;
}

function opened(state, { epoch, now = 0, process = null }, out) {
  if (state.phase !== Phase.CONNECTING || epoch !== state.epoch) return state;
  const again = state.reopens;
  state = replace(state, {
    phase: Phase.OPEN, opened_at: now, process, wanted: false, retried: false, reopens: true,
  });
  state = blameLater(state, process, out);
  out.push(effects.tried(false), effects.report(Phase.OPEN));
  state = sendAll(state, out);
  if (again) out.push(effects.reopened());
  return state;
}

function turnIsOver(state, { epoch, id }, out) {
  if (state.phase !== Phase.OPEN || epoch !== state.epoch || id !== state.suspect) return state;
  return turnOver(state, out);
}

function again(state, { epoch, id }, out) {
  const request = state.requests.get(id);
  // On another connection, everything has been sent again.
  if (state.phase !== Phase.OPEN || epoch !== state.epoch || request === null) return state;
  return send(state, request, out);
}

const ON = {
  connect,
  withdraw: (state, _event, out) => withdraw(state, out),
  close: (state, _event, out) => close(state, out),
  wanted,
  submitted,
  adopted,
  abandoned,
  due,
  opened,
  failed,
  ended: (state, event, out) => ended(state, event, out),
  message,
  unaddressed,
  too_large: tooLarge,
  turn_over: turnIsOver,
  again,
};

/** Pings a silent service while any request waits, since a lost network reports no error. */


const AFTER_OUTAGE = 5000; // milliseconds: after an outage, an older connection is more often dead than slow
const MOST_DOUBLINGS_OF_PING = 5; // of the time that the answer to a ping may take

class Watchdog {
  #options;
  #calls; // isNeeded, ping, giveUp
  #timer;
  #heardAt = 0;
  #probing = false;
  #unanswered = 0; // pings in a row that were not answered in time

  constructor(options, calls) {
    this.#options = options;
    this.#calls = calls;
  }

  /** The connection is open. */
  start() {
    this.heard();
    this.watch();
  }

  stop() { clearTimeout(this.#timer); }

  /** A message has arrived. */
  heard() {
    // Not with the wall clock, which may be set.
    this.#heardAt = performance.now();
    this.#probing = false;
  }

  /** Checks again when the silence has lasted long enough. */
  watch() {
    const left = () => this.#options.pingInterval - (performance.now() - this.#heardAt);
    this.#later(left(), () => {
      if (left() > 0) this.watch();
      else if (this.#calls.isNeeded()) {
        this.#probe(this.#options.pingTimeout * 2 ** Math.min(this.#unanswered, MOST_DOUBLINGS_OF_PING));
      }
    });
  }

  /** The browser reports that the network is back. */
  networkIsBack() {
    if (this.#calls.isNeeded()) this.#probe(AFTER_OUTAGE);
  }

  /** Scripts cannot see a large message while it arrives, so each further attempt gets more time on a slow line. */
  #probe(limit) {
    this.#probing = true;
    this.#calls.ping();
    this.#later(limit, () => {
      this.#unanswered = this.#probing ? this.#unanswered + 1 : 0;
      if (!this.#probing) this.watch();
      else this.#calls.giveUp("the service did not answer a ping");
    });
  }

  #later(milliseconds, act) {
    clearTimeout(this.#timer);
    this.#timer = startTimer(act, milliseconds);
  }
}

/** The client's connection, including reconnects: passes events to the state machine and executes its effects. */


class Connection {
  #url; // for messages
  #address;
  #options;
  #client; // token, authenticate, reported and forgotten
  #state;
  #events = []; // events that occur while effects are executed
  #cause = null; // of the current event: a message, or how an attempt or a connection ended
  #atWork = false;
  #handles = new Map();
  #link = null;
  #joiner = null; // of the open connection
  #trying = null; // settled when the current attempt is over
  #timers = new Set(); // of the current epoch
  #renewal;
  #watchdog;
  #online = () => this.#networkIsBack();

  constructor(url, address, options, client) {
    this.#url = url;
    this.#address = address;
    this.#options = options;
    this.#client = client;
    const { reconnect, maxReconnectDelay } = options;
    const renewable = typeof client.token() === "function";
    this.#state = newState({ reconnect, renewable, longest: maxReconnectDelay, name: randomId("req_") });
    this.#renewal = new Renewal(() => client.token()(), (token) => client.authenticate(token));
    this.#watchdog = new Watchdog(options, {
      isNeeded: () => this.#handles.size > 0,
      ping: () => this.#link.send(JSON.stringify({ id: randomId("ping_"), action: "streamer.ping" })),
      giveUp: (reason) => this.#link.giveUp(reason),
    });
  }

  get state() { return this.#state.phase === Phase.REFUSED ? Phase.CLOSED : this.#state.phase; }

  /** Tries once, unless the connection is open or being opened. */
  async connect() {
    this.#happened({ event: "connect" });
    await this.#trying.promise;
  }

  close() { this.#happened({ event: "close" }, CLOSED_HERE); }

  find(id) { return this.#handles.get(id); }

  /** Sends a request, now or as soon as there is a connection. */
  add(handle) {
    const { id, _text: text, _resend: resend, _patient: patient } = handle;
    if (this.#handles.has(id)) throw new Error(`Request ${id} waits on this client already`);
    this.#handles.set(id, handle);
    this.#happened({ event: "submitted", id, size: text?.length ?? 0, stored: text === null, resend, patient });
    if (this.#state.phase === Phase.OPEN && this.#handles.size === 1) this.#watchdog.watch();
  }

  /** Adopts a request that the service already reports on. */
  adopt(handle) {
    this.#handles.set(handle.id, handle);
    this.#happened({ event: "adopted", id: handle.id });
  }

  /** No caller waits for the request any longer; cancels it. */
  abandon(handle) {
    if (this.#handles.get(handle.id) === handle) this.#happened({ event: "abandoned", id: handle.id, cancel: true });
  }

  // Events

  /** The only place that changes the state. */
  #happened(event, cause = null) {
    this.#events.push([event, cause]);
    if (this.#atWork) return;
    this.#atWork = true;
    try {
      while (this.#events.length > 0) {
        const [next, why] = this.#events.shift();
        const { epoch } = this.#state;
        const [state, todo] = nextState(this.#state, next);
        this.#state = state;
        this.#cause = why;
        if (state.epoch !== epoch) this.#stopTimers();
        for (const effect of todo) this.#do(effect);
      }
    } finally {
      this.#atWork = false;
    }
  }

  #receive(data) {
    this.#watchdog.heard();
    const message = this.#joiner.read(data);
    if (message === null) return;
    const { request_id: id, seq } = message;
    if (id != null && seq != null) this.#client.reported(id);
    const event = eventOf(message, performance.now());
    if (event !== null) this.#happened(event, message);
  }

  #networkIsBack() {
    const { phase, epoch } = this.#state;
    if (phase === Phase.WAITING) this.#happened({ event: "due", epoch });
    else if (phase === Phase.OPEN) this.#watchdog.networkIsBack();
  }

  // Effects

  #do(effect) {
    const { id, epoch } = effect;
    switch (effect.effect) {
      case "send":
        this.#link.send(this.#handles.get(id)._text);
        break;
      case "ask":
        this.#ask(effect);
        break;
      case "deliver":
        this.#handles.get(id)._receive(this.#cause);
        if (this.#handles.get(id).done) this.#handles.delete(id);
        break;
      case "confirm":
        this.#handles.get(id)._store();
        break;
      case "end":
        this.#take(id)._end(errorOf(effect, this.#url, this.#cause));
        break;
      case "forget":
        this.#take(id);
        if (effect.sent) this.#client.forgotten(id);
        break;
      case "later":
        this.#startTimer(effect.delay, { event: "again", epoch, id });
        break;
      case "turn":
        this.#startTimer(effect.delay, { event: "turn_over", epoch, id });
        break;
      case "dial":
        this.#dial(epoch);
        break;
      case "hang_up":
        this.#hangUp(effect.polite);
        break;
      case "wait":
        this.#wait(effect);
        break;
      case "tried":
        if (effect.failed) this.#trying.reject(new ConnectionLost(this.#url, this.#cause));
        else this.#trying.resolve();
        break;
      case "report":
        this.#report(effect.phase === Phase.REFUSED ? Phase.CLOSED : effect.phase, this.#how(effect));
        break;
    }
  }

  #take(id) {
    const handle = this.#handles.get(id);
    this.#handles.delete(id);
    return handle;
  }

  #ask({ id, question, seq }) {
    const payload = { request_id: id, after_seq: seq };
    this.#link.send(JSON.stringify({ id: question, action: "streamer.resume", payload }));
  }

  #dial(epoch) {
    this.#link = new ClientSocket(this.#options, {
      opened: (token) => {
        this.#joiner = new Joiner();
        if (this.#state.options.renewable) this.#renewal.begin(token);
        this.#happened({ event: "opened", epoch, now: performance.now() });
        this.#watchdog.start();
      },
      message: (data) => this.#receive(data),
      failed: (how, final) => {
        const { code, reason } = how;
        this.#happened({ event: "failed", epoch, code, reason, final }, how);
      },
      ended: (how, refused = false) => {
        this.#rest();
        this.#happened({ event: "ended", epoch, ...how, now: performance.now(), refused }, how);
      },
    });
    this.#link.dial(this.#address, this.#client.token());
  }

  #hangUp(polite) {
    this.#rest();
    this.#link.leave();
    if (polite) this.#link.close(1000);
    else this.#link.close();
  }

  #rest() {
    this.#renewal.stop();
    this.#watchdog.stop();
  }

  #wait({ epoch, longest, tries, ...effect }) {
    const delay = this.#options.random() * longest;
    this.#startTimer(delay, { event: "due", epoch });
    this.#report(Phase.WAITING, { delay, tries, ...this.#how(effect) });
  }

  /** How the last connection or attempt ended. */
  #how({ code, reason }) {
    return code === null ? {} : { code, reason, ...(this.#cause?.cause && { cause: this.#cause.cause }) };
  }

  #report(state, detail) {
    if (state === Phase.CONNECTING) this.#trying = deferred();
    const listen = state === "idle" || state === "closed" ? "removeEventListener" : "addEventListener";
    globalThis[listen]?.("online", this.#online);
    callBack(this.#options.onStateChange, state, detail);
  }

  #startTimer(milliseconds, event) {
    const timer = startTimer(() => {
      this.#timers.delete(timer);
      this.#happened(event);
    }, milliseconds);
    this.#timers.add(timer);
  }

  #stopTimers() {
    this.#timers.forEach((timer) => clearTimeout(timer));
    this.#timers.clear();
  }
}

/** The handle of a request that waits for its answers. */


const MOST_UNREAD = 1000;

/** One request, over all connections: `for await` yields its progress, and `result` settles with its outcome. */
class RequestHandle {
  // Names with an underscore are for the client only.
  _error = null;
  _ended = deferred();
  _heard = deferred(); // true: it is stored; false: it has ended without being stored
  #options;
  #unread = [];
  #changed = deferred();

  constructor(id, text, cancel, options) {
    checkFunctions(options, ["onProgress", "onAcknowledged"]);
    // The text to send (again); null once the service has stored the request.
    Object.assign(this, { id, done: false, metadata: null, _text: text, _resend: options.resend, _patient: options.patient === true });
    this.result = this._ended.promise;
    this.acknowledged = this._heard.promise;
    this.cancel = () => cancel(this);
    this.#options = options;
  }

  async *[Symbol.asyncIterator]() {
    for (;;) {
      while (this.#unread.length > 0) yield this.#unread.shift();
      if (this.done) return;
      await this.#changed.promise;
    }
  }

  /** Handles one message, newer than the last. */
  _receive(message) {
    if (message.seq != null) this._store();
    if (message.type === "acknowledgment") {
      this._store();
      callBack(this.#options.onAcknowledged, this.id);
    } else if (message.type === "progress") {
      if (message.seq > (this.#options.afterSeq ?? -1)) this.#report(message);
    } else if (message.type === "response" || message.type === "complete") {
      const data = message.type === "response" ? message.data : message.result;
      this.metadata = message.metadata ?? null;
      if (message.success === true) this._end(null, data);
      else this._end(serviceError(message.error, this.id, data));
    } else if (message.type === "error") {
      this._end(serviceError(message.error ?? message, this.id));
    }
  }

  _store() {
    this._text = null;
    this._heard.resolve(true);
  }

  _end(error, data) {
    if (this.done) return;
    this.done = true;
    this._error = error;
    this._heard.resolve(false);
    if (error === null) this._ended.resolve(data);
    else this._ended.reject(error);
    this.#wake();
  }

  #report({ seq, percentage, message, metadata = null, timestamp }) {
    const update = { requestId: this.id, seq, percentage, message, metadata, timestamp };
    this.#unread.push(update);
    if (this.#unread.length > MOST_UNREAD) this.#unread.shift();
    callBack(this.#options.onProgress, update);
    this.#wake();
  }

  #wake() {
    this.#changed.resolve();
    this.#changed = deferred();
  }
}

/** The public client class. */


/** A client of one service, over one connection at a time. */
class StreamerClient {
  #options;
  #token;
  #connection;
  #collectors = new Set(); // of calls that resume all requests

  constructor(url, options = {}) {
    options = given(options);
    this.#options = checkedOptions(options);
    this.#token = typeof options.token === "function" || options.token === undefined ? options.token : usable(options.token);
    const address = new URL(url, globalThis.location?.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.hash = "";
    const { storage, storageKey } = this.#options;
    const named = options.clientId ?? address.searchParams.get("client_id");
    // A browser would not say why the service refuses it, and the client would retry forever.
    if (named !== null) checkName("clientId", named);
    this.clientId = named ?? (storage?.getItem(storageKey) || randomId());
    storage?.setItem(storageKey, this.clientId);
    address.searchParams.set("client_id", this.clientId);
    this.url = address.origin + address.pathname;
    this.#connection = new Connection(this.url, address.href, this.#options, {
      token: () => this.#token,
      authenticate: (token) => this.authenticate(token),
      reported: (id) => this.#collect(id),
      // The request may have ended, or never have arrived.
      forgotten: (id) => this.#cancelPatiently(id).catch(() => {}),
    });
  }

  get state() { return this.#connection.state; }

  /** Tries once to open the connection, now. Requests open it by themselves, and keep trying. */
  async connect() { await this.#connection.connect(); }

  /** Closes the connection. Waiting requests fail with ConnectionLost; queued requests continue in the service. */
  close() { this.#connection.close(); }

  /** Sends a request and waits for its result. */
  async request(action, payload, options) {
    return await this.start(action, payload, options).result;
  }

  /** Sends a request and returns a handle immediately. */
  start(action, payload, options) {
    const { id = randomId("req_"), metadata, wait, signal, ...others } = given(options);
    checkRequest({ id, wait, signal });
    const handle = this.#handle(id, JSON.stringify({ id, action, payload, metadata, wait }), others);
    if (signal?.aborted) handle._end(signal.reason);
    else this.#connection.add(handle);
    if (signal && !handle.done) {
      const abort = () => {
        this.#connection.abandon(handle);
        handle._end(signal.reason);
      };
      const forget = () => signal.removeEventListener("abort", abort);
      signal.addEventListener("abort", abort);
      handle.result.then(forget, forget);
    }
    return handle;
  }

  /** A handle for a queued request of an earlier page or process; without an id, for each undelivered request. */
  async resume(asked) {
    const { requestId, ...options } = given(asked);
    if (options.afterSeq !== undefined && !Number.isFinite(options.afterSeq)) throw new TypeError("afterSeq must be a number");
    if (requestId !== undefined) {
      const handle = this.#connection.find(requestId) ?? this.#handle(requestId, null, options);
      if (this.#connection.find(requestId) === undefined) this.#connection.add(handle);
      if (!(await handle.acknowledged)) await handle.result;
      return handle;
    }
    // The newest state of each request arrives before the answer that lists them all.
    const collector = { options, seen: new Map() };
    this.#collectors.add(collector);
    try {
      const { requests } = await this.request("streamer.resume");
      return requests.map((id) => collector.seen.get(id) ?? this.#connection.find(id) ?? this.#adopt(id, options));
    } finally {
      this.#collectors.delete(collector);
    }
  }

  cancel(requestId) { return this.request("streamer.cancel", { request_id: requestId }); }
  status(requestId) { return this.request("streamer.status", { request_id: requestId }); }
  list(asked = {}) { return this.request("streamer.list", asked); }

  /** Sends the service a fresh token on the open connection; the next connections use it too. */
  async authenticate(given) {
    const token = usable(given);
    // Not sent again: the next connection starts with its own token.
    const answer = await this.request("streamer.authenticate", { token }, { resend: false });
    if (typeof this.#token !== "function") this.#token = token;
    return answer;
  }

  // Requests

  #handle(id, text, { resend = this.#options.resend, ...options }) {
    return new RequestHandle(id, text, (handle) => this.#cancel(handle), { resend, ...options });
  }

  #adopt(id, options) {
    const handle = this.#handle(id, null, options);
    handle._store();
    this.#connection.adopt(handle);
    return handle;
  }

  /** A request that the service reports on, perhaps because all requests are resumed. */
  #collect(id) {
    for (const { options, seen } of this.#collectors) seen.set(id, this.#connection.find(id) ?? this.#adopt(id, options));
  }

  async #cancel(handle) {
    await handle.acknowledged; // before that, there may be nothing to cancel
    if (handle._error instanceof ConnectionLost) throw handle._error;
    if (handle.done) {
      throw new StreamerError("CONFLICT", `Request ${handle.id} has already ended`, { requestId: handle.id });
    }
    return await this.#cancelPatiently(handle.id);
  }

  /** The caller may not wait for the answer, so the cancellation is sent again if the service is busy for a moment. */
  #cancelPatiently(requestId) {
    return this.request("streamer.cancel", { request_id: requestId }, { patient: true });
  }
}

export { StreamerClient, ConnectionLost, MessageTooLarge, NotAnswered, StreamerError };
