/**
 * The JavaScript client of streamer, for browsers and for Node 20 or newer. It has no dependencies.
 *
 *     const client = new StreamerClient("wss://example.com/ws");
 *     const report = await client.request("generate_report", { group_by: "month" }, { onProgress: console.log });
 *
 * A connection that breaks is opened again while anything waits, and waiting outlives the break: what the service has
 * acknowledged is resumed, what it has not is sent again with the same id. All durations are milliseconds.
 * What everything means is said in streamer.d.ts.
 */

const FIRST_DELAY = 500;
const ASK_AGAIN = 1000;
const MOST_UNREAD = 1000;
const AFTER_OUTAGE = 5000; // a connection from before is more often dead than slow
const TOKEN_EXPIRED = 3500;
const RENEW_AFTER = 0.8; // of the time that a token has left
const CLOCKS_DIFFER = 60_000; // to the renewal of a token that was taken though it has run out by this clock
const MOST_DOUBLINGS = 5; // of the time that the answer to a ping may take
const LONGEST_TIMER = 2 ** 31 - 1; // a longer one fires at once
const TOO_LARGE = 1009;
const NAME = /^(?:[^\p{C}\p{Z}]| ){1,128}$/u; // what a service takes for an id or a client's id
const MOST_BREAKS = 3; // connections that may end while one request is alone on its way, before it is given up
const MOST_SHARED = 10; // the same for one that was never alone, for asking after one that the service has stored, and where a gateway ended the connections in good order
const GOING_AWAY = 1001; // the close code of such an end, as after API Gateway's two hours
const TURN = 10_000; // how long others wait at most for the answer to a request that is sent alone
// A service or a proxy closes with them for reasons of its own.
const NOBODYS = new Set([1012, 1013, 3001, 3500, 3501]);
// They blame what this client sent; the next connection would end in the same way.
const FINAL_CLOSE_CODES = new Set([1003, 1007, 1008, 1009]);
const BUSY = new Set(["RATE_LIMITED", "OVERLOADED"]);
const DURATIONS = ["maxReconnectDelay", "openTimeout", "pingInterval", "pingTimeout"];
const DEFAULTS = {
  reconnect: true, resend: true, maxReconnectDelay: 30_000,
  openTimeout: 10_000, pingInterval: 30_000, pingTimeout: 20_000,
  storageKey: "streamer.client_id", random: Math.random,
};

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
    const retryable = mayReconnect(code);
    const why = [code, reason].filter(Boolean).join(" ");
    super("CONNECTION_LOST", `No connection to ${url} (${why})${goesOn}`, { retryable, requestId, cause });
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

const MOST_SENDS = 10; // how often a request is sent to a service whose functions fail, before it fails itself

const mayReconnect = (closeCode) => !(closeCode >= 3500 && closeCode < 4000) && !FINAL_CLOSE_CODES.has(closeCode);

function serviceError(error, requestId, data) {
  const { code = "INTERNAL_ERROR", message = "The service did not say why", details, retryable } = error ?? {};
  return new StreamerError(code, message, { details, retryable, requestId, data });
}

/** A message; what is none says nothing to anybody. API Gateway's own errors have only a `message`. */
function parsed(data) {
  try {
    return { type: "error", ...JSON.parse(data) };
  } catch {
    return {};
  }
}

/** What was given, without what is null or undefined: that means the default. */
function given(options) {
  return Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value != null));
}

/** Milliseconds that a timer can wait: Infinity is as long as it can. */
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

/** The token as a subprotocol carries it: files and pages that hold one end with a line break, which is none of it. */
function usable(token) {
  if (typeof token !== "string") throw new TypeError(`a token must be a string; it is ${token === null ? "null" : typeof token}`);
  const text = token.trim();
  if (text === "") throw new TypeError("the token is empty");
  const wrong = /[^!#$%&'*+.^_`|~0-9A-Za-z-]/u.exec(text);
  if (wrong) {
    const point = wrong[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    throw new TypeError(`the token holds U+${point} at position ${wrong.index}, which no subprotocol carries`);
  }
  return text;
}

const isTooLarge = ({ error, message }) =>
  error?.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" || /payload size|too (large|big)/i.test(error?.message ?? message ?? "");

function startTimer(act, milliseconds) {
  return setTimeout(act, Math.min(Math.max(Number(milliseconds) || 0, 0), LONGEST_TIMER));
}

/** When a JSON Web Token runs out; NaN where it does not say so. Whether it is right is the service's business. */
function expiry(token) {
  try {
    const body = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(body)).exp * 1000;
  } catch {
    return NaN;
  }
}

function randomId(prefix = "") {
  // Not randomUUID: pages that are served without TLS do not have it.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return prefix + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  // Whoever waits hears of a failure; that nobody waits is no error.
  made.promise.catch(() => {});
  return made;
}

/** Calls in a moment, in order: what a callback throws is its own, and neither breaks the connection nor is lost. */
function callBack(callback, ...values) {
  if (callback) queueMicrotask(() => callback(...values));
}

/** One request, over all connections: `for await` yields its progress, `result` is how it ends. */
class RequestHandle {
  // What begins with an underscore is for the client below only.
  _sends = 0;
  _sent = false; // on the present connection
  _unanswered = false; // and nothing has been heard of it since
  _breaks = 0; // connections in a row that ended while it was unanswered
  _refusals = 0; // and at a message that was too large, while it had not ended, and no cause was found
  _suspect = false; // sent alone next, to see whether it is the cause
  _helper = false; // asked on behalf of another request, which is the one to blame
  _seq = -1;
  _aborted = false;
  _error = null;
  _ended = deferred();
  _heard = deferred(); // true: it is stored; false: it has ended without that
  #options;
  #unread = [];
  #changed = deferred();

  constructor(id, text, cancel, options) {
    // The text is what to send (again); null once the service has stored the request.
    const { resend, patient } = options;
    Object.assign(this, { id, done: false, metadata: null, _text: text, _resend: resend, _patient: patient });
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

  /** Takes one message; what is not newer than the last is dropped. */
  _receive(message) {
    if (message.seq !== undefined) {
      if (message.seq <= this._seq) return;
      this._seq = message.seq;
      this._stored();
    }
    if (message.type === "acknowledgment") {
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

  _stored() {
    this._text = null;
    this._unanswered = false;
    this._breaks = 0;
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

/** A client of one service, over one connection at a time. */
export class StreamerClient {
  #options;
  #address;
  #token;
  #refreshed = false;
  #handles = new Map();
  #collectors = new Set();
  #state = "idle";
  #lost = null; // how the connection ended, for good
  #socket = null;
  #opening = null; // settled when the present try is over
  #tries = 0;
  #openedAt = 0;
  #heardAt = 0;
  #probing = false;
  #unanswered = 0; // pings in a row that were not answered in their time
  #parts = new Map(); // of messages that are too long for their way: by their names, what has come of them
  #timer; // one at a time: the next try, the limit of token and handshake, or the next look for a sign of life
  #line = []; // what is to be sent on this connection, once no request is alone on its way
  #alone = null; // the suspect that was sent last; it stays so when its connection ends
  #turn;
  #postponed = new Set(); // timers of what this connection is asked once more
  #refused = false; // the socket did not take a message, for its size
  #expected = false; // this client gives the connection up for a reason of its own
  #renewal;
  #online = () => this.#networkIsBack();

  constructor(url, options = {}) {
    options = given(options);
    this.#options = { WebSocket: globalThis.WebSocket, ...DEFAULTS, ...options };
    for (const name of DURATIONS) this.#options[name] = duration(name, this.#options[name]);
    checkFunctions(this.#options, ["onStateChange", "random", "WebSocket"]);
    if (this.#options.WebSocket === undefined) {
      throw new TypeError("There is no WebSocket here; give one as an option, such as that of the package ws");
    }
    this.#token = typeof options.token === "function" || options.token === undefined ? options.token : usable(options.token);
    const address = new URL(url, globalThis.location?.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.hash = "";
    const { storage, storageKey } = this.#options;
    const named = options.clientId ?? address.searchParams.get("client_id");
    // A browser would not say why the service refuses it, and the client would try for ever.
    if (named !== null && !NAME.test(named)) {
      throw new TypeError("clientId must be a text of 1 to 128 printable characters");
    }
    this.clientId = named ?? (storage?.getItem(storageKey) || randomId());
    storage?.setItem(storageKey, this.clientId);
    address.searchParams.set("client_id", this.clientId);
    this.url = address.origin + address.pathname;
    this.#address = address.href;
  }

  get state() { return this.#state; }

  /** Tries once to open the connection, now. Requests open it by themselves, and go on trying. */
  async connect() {
    if (this.#state === "open") return;
    this.#lost = null;
    if (this.#state !== "connecting") this.#open();
    await this.#opening.promise;
  }

  /** Ends the connection. What still waits fails with ConnectionLost; queued requests go on at the service. */
  close() {
    const socket = this.#leaveSocket();
    this.#finish({ code: 1000, reason: "closed by this client" });
    socket?.close?.(1000);
  }

  /** Sends a request and waits for its result. */
  async request(action, payload, options) {
    return await this.start(action, payload, options).result;
  }

  /** Sends a request and returns at once, with a handle. */
  start(action, payload, options) {
    const { id = randomId("req_"), metadata, wait, signal, ...others } = given(options);
    if (signal !== undefined && typeof signal.addEventListener !== "function") throw new TypeError("signal must be an AbortSignal");
    // The service cannot say for which request it refuses another one.
    if (typeof id !== "string" || !NAME.test(id)) throw new TypeError("id must be a text of 1 to 128 printable characters");
    if (typeof wait === "number" && !(wait >= 0 && wait < Infinity)) {
      throw new RangeError(`wait must be zero or more seconds, or a text such as "2s"; it is ${wait}`);
    }
    return this.#start(id, JSON.stringify({ id, action, payload, metadata, wait }), signal, others);
  }

  #start(id, text, signal, options) {
    const handle = this.#handle(id, text, options);
    if (signal?.aborted) handle._end(signal.reason);
    else this.#add(handle);
    if (signal && !handle.done) {
      const abort = () => this.#abort(handle, signal.reason);
      const forget = () => signal.removeEventListener("abort", abort);
      signal.addEventListener("abort", abort);
      handle.result.then(forget, forget);
    }
    return handle;
  }

  /** A handle for a queued request of an earlier page or process; without an id, for each that is not settled yet. */
  async resume(asked) {
    const { requestId, ...options } = given(asked);
    if (options.afterSeq !== undefined && !Number.isFinite(options.afterSeq)) throw new TypeError("afterSeq must be a number");
    if (requestId !== undefined) {
      const handle = this.#handles.get(requestId) ?? this.#handle(requestId, null, options);
      if (!this.#handles.has(requestId)) this.#add(handle);
      if (!(await handle.acknowledged)) await handle.result;
      return handle;
    }
    // The newest state of each comes before the answer that lists them all.
    const collector = { options, seen: new Map() };
    this.#collectors.add(collector);
    try {
      const { requests } = await this.request("streamer.resume");
      return requests.map((id) => collector.seen.get(id) ?? this.#handles.get(id) ?? this.#adopt(id, options));
    } finally {
      this.#collectors.delete(collector);
    }
  }

  cancel(requestId) { return this.request("streamer.cancel", { request_id: requestId }); }
  status(requestId) { return this.request("streamer.status", { request_id: requestId }); }
  list(asked = {}) { return this.request("streamer.list", asked); }

  /** Gives the service a fresh token on the open connection; the next connections use it too. */
  async authenticate(given) {
    const token = usable(given);
    // Not to be sent again: the next connection begins with a token of its own.
    const answer = await this.request("streamer.authenticate", { token }, { resend: false });
    if (typeof this.#token !== "function") this.#token = token;
    return answer;
  }

  // Requests

  #handle(id, text, { resend = this.#options.resend, ...options }) {
    checkFunctions(options, ["onProgress", "onAcknowledged"]);
    return new RequestHandle(id, text, (handle) => this.#cancel(handle), { resend, ...options });
  }

  #add(handle) {
    if (this.#handles.has(handle.id)) throw new Error(`Request ${handle.id} waits on this client already`);
    this.#handles.set(handle.id, handle);
    if (this.#lost) this.#lose(handle);
    else if (this.#state === "idle") this.#openLater();
    else if (this.#state === "open") {
      if (this.#alone === null) this.#tell(handle);
      else this.#line.push(handle);
      if (this.#handles.size === 1) this.#watch();
    }
  }

  #adopt(id, options) {
    const handle = this.#handle(id, null, options);
    handle._stored();
    this.#handles.set(id, handle);
    return handle;
  }

  #end(handle, error) {
    this.#handles.delete(handle.id);
    handle._end(error);
  }

  #lose(handle, how = this.#lost) {
    this.#end(handle, new ConnectionLost(this.url, how, handle.id));
  }

  async #cancel(handle) {
    await handle.acknowledged; // before, there may be nothing to cancel
    if (handle._error instanceof ConnectionLost) throw handle._error;
    if (handle.done) {
      throw new StreamerError("CONFLICT", `Request ${handle.id} has already ended`, { requestId: handle.id });
    }
    return await this.#cancelPatiently(handle.id);
  }

  /** Whoever cancels may not wait for the answer: it must not be lost to a moment in which the service is busy. */
  #cancelPatiently(requestId) {
    return this.request("streamer.cancel", { request_id: requestId }, { patient: true });
  }

  #abort(handle, reason) {
    handle._aborted = true;
    if (handle._text === null) this.#cancelUnseen(handle);
    else if (handle._sends === 0) this.#handles.delete(handle.id);
    handle._end(reason);
  }

  #cancelUnseen(handle) {
    this.#handles.delete(handle.id);
    this.#cancelPatiently(handle.id).catch(() => {}); // it has ended, or never arrived
  }

  /**
   * Sends everything that waits. What may have ended the last connection goes one by one, each when the one before was
   * answered, and the others after that: so the next end of a connection names its cause.
   */
  #tellAll() {
    const waiting = [...this.#handles.values()];
    const likeliest = this.#alone; // it was just sent when the connection ended
    const suspects = waiting.filter((handle) => handle._suspect);
    // One that is stored stays under way after its turn and would be suspected again: those that end with their answer come before.
    const rank = (handle) => (handle === likeliest ? 0 : handle._text !== null ? 1 : 2);
    suspects.sort((one, other) => rank(one) - rank(other));
    this.#line = [...suspects, ...waiting.filter((handle) => !handle._suspect)];
    this.#advance();
  }

  #advance() {
    clearTimeout(this.#turn);
    this.#alone = null;
    while (this.#line.length > 0) {
      const handle = this.#line.shift();
      if (this.#handles.get(handle.id) !== handle) continue;
      if (handle._aborted) {
        this.#cancelUnseen(handle);
        continue;
      }
      const socket = this.#socket;
      const over = () => {
        if (this.#alone !== handle || this.#socket !== socket) return;
        handle._suspect = false;
        this.#advance();
      };
      const alone = handle._suspect;
      if (alone) this.#alone = handle;
      const awaited = this.#tell(handle);
      if (alone) {
        awaited._heard.promise.then(over);
        this.#turn = startTimer(over, TURN);
        return;
      }
    }
  }

  /**
   * Sends a request, for the first time or again; of one that the service has stored it asks for the rest. Returns the
   * one that is answered: the request itself, or the question.
   */
  #tell(handle) {
    handle._sent = handle._unanswered = true;
    if (handle._text !== null) {
      handle._sends += 1;
      this.#socket.send(handle._text);
      return handle;
    }
    const id = randomId("req_");
    const payload = { request_id: handle.id, after_seq: handle._seq };
    // Not to be sent again: the next connection asks anew, with the newer seq.
    const question = this.#handle(id, JSON.stringify({ id, action: "streamer.resume", payload }), { resend: false });
    question._helper = true;
    this.#handles.set(id, question);
    question.result.then(
      () => handle._stored(),
      (error) => {
        if (BUSY.has(error.code)) this.#tellLater(handle, error);
        else if (!(error instanceof ConnectionLost)) this.#end(handle, serviceError(error, handle.id));
      },
    );
    return this.#tell(question);
  }

  #tellLater(handle, { details }) {
    const socket = this.#socket;
    const timer = startTimer(() => {
      this.#postponed.delete(timer);
      // Another connection has been told already.
      if (this.#socket === socket && !handle.done) this.#tell(handle);
    }, details?.retry_after_ms ?? ASK_AGAIN);
    this.#postponed.add(timer);
  }

  /** A message of which this is the last part that was missing; null until then. */
  #joined({ part_of: name, index, count, data }) {
    const parts = this.#parts.get(name) ?? new Map();
    this.#parts.set(name, parts.set(index, data));
    if (parts.size < count) return null;
    this.#parts.delete(name);
    return parsed([...parts].sort(([one], [other]) => one - other).map(([, piece]) => piece).join(""));
  }

  #receive(data) {
    this.#heardAt = performance.now();
    this.#probing = false;
    this.#refreshed = false;
    let message = parsed(data);
    if (message.type === "part") message = this.#joined(message);
    if (message === null) return;
    const { request_id: id, seq, type, error } = message;
    // API Gateway's function has failed in some request: another connection sorts out in which.
    if (id === undefined && error === undefined && message.message && this.#startAnew(message.message)) return;
    let handle = id === undefined && (error ?? message.message) ? this.#onlyUnanswered() : this.#handles.get(id);
    for (const { options, seen } of seq === undefined ? [] : this.#collectors) {
      handle ??= this.#adopt(id, options);
      seen.set(id, handle);
    }
    if (handle === undefined) return;
    const busy = type === "error" && handle._text !== null && BUSY.has(error?.code);
    // A service that is going down ends this connection soon, and the next one sends it again.
    if (busy && error.details?.reconnect === true && this.#options.reconnect && handle._resend) return;
    // Of what was sent again the first may have been stored; that the service is busy now says nothing about it.
    if (busy && (handle._sends > 1 || handle._patient)) this.#tellLater(handle, error);
    else handle._receive(message);
    if (handle._aborted && handle._text === null) this.#cancelUnseen(handle);
    else if (handle.done) this.#handles.delete(handle.id);
  }

  /** What was acknowledged is resumed, the rest sent again; but not without end, as it may be what the function fails of. */
  #startAnew(reason) {
    const unanswered = [...this.#handles.values()].filter((handle) => handle._text !== null);
    if (!this.#options.reconnect || !unanswered.some((handle) => handle._resend)) return false;
    for (const handle of unanswered.filter(({ _sends: sends }) => sends >= MOST_SENDS)) {
      this.#end(handle, serviceError({ message: `${reason}, each of ${handle._sends} times` }, handle.id));
    }
    this.#expected = true;
    this.#giveUp(reason);
    return true;
  }

  /** Whom an error is for that names no request: that is plain when only one waits for its first answer. */
  #onlyUnanswered() {
    const unanswered = [...this.#handles.values()].filter((handle) => handle._text !== null);
    return unanswered.length === 1 ? unanswered[0] : undefined;
  }

  // The connection

  #become(state, detail = {}) {
    this.#state = state;
    const listen = state === "idle" || state === "closed" ? "removeEventListener" : "addEventListener";
    globalThis[listen]?.("online", this.#online);
    callBack(this.#options.onStateChange, state, detail);
  }

  /** The first try is due at once, further ones after a random delay that may grow: back-off with full jitter. */
  #openLater(why = {}) {
    const { maxReconnectDelay, random } = this.#options;
    const ceiling = this.#tries === 0 ? 0 : Math.min(maxReconnectDelay, FIRST_DELAY * 2 ** (this.#tries - 1));
    const delay = random() * ceiling;
    this.#tries += 1;
    this.#later(delay, () => this.#open());
    this.#become("waiting", { delay, tries: this.#tries, ...why });
  }

  async #open() {
    clearTimeout(this.#timer);
    const attempt = (this.#socket = {}); // whoever puts another one in its place has ended this attempt
    this.#opening = deferred();
    this.#become("connecting");
    const { openTimeout } = this.#options;
    let token = this.#token;
    if (typeof token === "function") {
      const late = `the token function did not return within ${openTimeout} ms`;
      this.#later(openTimeout, () => this.#closed({ code: 1006, reason: late }));
      try {
        token = await this.#bring();
      } catch (cause) {
        const reason = `the token function failed: ${cause?.message ?? cause}`;
        if (this.#socket === attempt) this.#closed({ code: 1006, reason, cause });
        return;
      }
    }
    if (this.#socket !== attempt) return;
    let socket;
    try {
      // A browser fails a handshake in which it offered a subprotocol and none was taken.
      socket = new this.#options.WebSocket(this.#address, token == null ? [] : ["bearer", token]);
    } catch (error) {
      const how = { code: 1006, reason: `it cannot be opened: ${error?.message ?? error}`, cause: error };
      // The next token may be one that the WebSocket takes.
      if (typeof this.#token === "function") this.#closed(how);
      else this.#finish(how);
      return;
    }
    this.#socket = socket;
    const on = (type, act) => socket.addEventListener(type, (event) => this.#socket === socket && act(event));
    on("open", () => this.#opened(token));
    on("message", ({ data }) => this.#receive(data));
    on("close", ({ code, reason }) => this.#closed({ code, reason }));
    // Not every implementation tells of the end of a connection that never began.
    on("error", (event) => {
      if (this.#state === "connecting") this.#closed({ code: 1006, reason: "", cause: event.error });
      else this.#refused ||= isTooLarge(event);
    });
    this.#later(openTimeout, () => this.#giveUp("the service did not answer"));
  }

  #opened(token) {
    this.#renewLater(token);
    this.#parts.clear();
    this.#openedAt = this.#heardAt = performance.now();
    this.#probing = this.#refused = this.#expected = false;
    this.#become("open");
    this.#opening?.resolve();
    this.#tellAll();
    this.#watch();
  }

  #closed(how) {
    this.#leaveSocket();
    // Only a connection that lasted starts the count anew: a service that drops what it takes is not hammered.
    const lasted = this.#state === "open" && performance.now() - this.#openedAt >= this.#options.maxReconnectDelay;
    if (lasted) this.#tries = 0;
    // An expired token is worth one more connection where a fresh one can be had.
    const refresh = how.code === TOKEN_EXPIRED && typeof this.#token === "function" && !this.#refreshed;
    this.#refreshed ||= refresh;
    // The cause is known, and will not end the next connection.
    if (this.#blame(how)) this.#tries = 0;
    if (!this.#options.reconnect || !(mayReconnect(how.code) || refresh || how.code === TOO_LARGE)) {
      this.#finish(how);
      return;
    }
    this.#opening?.reject(new ConnectionLost(this.url, how));
    for (const handle of this.#handles.values()) {
      if (handle._text !== null && handle._sends > 0 && !handle._resend) this.#lose(handle, how);
    }
    if (this.#handles.size > 0) this.#openLater(how);
    else this.#become("idle", how);
  }

  /**
   * A connection says only that it ended, never because of which request: that is told by counting. One that is alone
   * when connections end is the cause, or will never be answered; those that shared them are sent one by one next.
   * Ends the requests that are to blame, and returns whether there are any.
   */
  #blame(how) {
    const sent = [...this.#handles.values()].filter((handle) => handle._sent && !handle._helper);
    const verdicts = this.#expected || NOBODYS.has(how.code) ? [] : this.#verdicts(sent, how);
    for (const handle of this.#handles.values()) {
      handle._sent = handle._unanswered = false;
      if (verdicts.length > 0 && this.#refused) handle._refusals = 0; // the cause was another request
    }
    for (const [handle, error] of verdicts) this.#end(handle, error);
    return verdicts.length > 0;
  }

  #verdicts(sent, how) {
    if (this.#refused) {
      for (const handle of sent) {
        handle._refusals += 1;
        handle._suspect = true;
      }
      const possible = sent.filter(({ _refusals: refusals }) => sent.length === 1 || refusals >= MOST_SHARED);
      // A stored one is asked after within moments, so that it would have been found.
      const direct = possible.filter(({ _text: text }) => text !== null);
      const guilty = direct.length > 0 ? direct : possible;
      const words = (id) => `The answer to request ${id} is too large for the WebSocket of this client; raise its maxPayload, or let the service send less`;
      return guilty.map((handle) => [handle, new MessageTooLarge(this.url, how.reason, handle.id, words(handle.id))]);
    }
    const unanswered = sent.filter((handle) => handle._unanswered);
    if (how.code === TOO_LARGE) {
      if (unanswered.length === 0) return [];
      // The service closes at the first message that is over its limit, so the largest one certainly is.
      const size = ({ _text: text }) => text?.length ?? 0;
      const largest = unanswered.reduce((one, other) => (size(other) > size(one) ? other : one));
      const words = `Request ${largest.id} is too large: the service does not take a message of ${size(largest)} characters; send less, or raise server.max_message_size in its configuration`;
      return [[largest, new MessageTooLarge(this.url, how.reason, largest.id, words)]];
    }
    for (const handle of unanswered) {
      handle._breaks += 1;
      handle._suspect = handle._breaks >= MOST_BREAKS - 1;
    }
    const alone = unanswered.length === 1 && how.code !== GOING_AWAY;
    const most = (handle) => (alone && handle._text !== null ? MOST_BREAKS : MOST_SHARED);
    return unanswered
      .filter((handle) => handle._breaks >= most(handle))
      .map((handle) => [handle, new NotAnswered(this.url, how, handle.id, handle._breaks, handle._text === null)]);
  }

  #finish(how) {
    if (this.#state === "closed") return;
    this.#lost = how;
    this.#opening?.reject(new ConnectionLost(this.url, how));
    for (const handle of this.#handles.values()) this.#lose(handle);
    this.#become("closed", how);
  }

  /** What the old socket says from now on is of no interest. */
  #leaveSocket() {
    const socket = this.#socket;
    this.#socket = null;
    clearTimeout(this.#timer);
    clearTimeout(this.#renewal);
    clearTimeout(this.#turn);
    this.#postponed.forEach((timer) => clearTimeout(timer));
    this.#postponed.clear();
    return socket;
  }

  /** What the token function brings, if it can be a token. */
  async #bring() {
    return usable(await this.#token());
  }

  /** A token that runs out is renewed on the standing connection before; if that fails, the service closes in time. */
  #renewLater(token) {
    const left = typeof this.#token === "function" ? expiry(token) - Date.now() : NaN;
    if (Number.isNaN(left)) return;
    const socket = this.#socket;
    this.#renewal = startTimer(async () => {
      try {
        const fresh = await this.#bring();
        if (this.#socket !== socket) return;
        await this.authenticate(fresh);
        this.#renewLater(fresh);
      } catch {
        // The close with 3500 asks for a token once more.
      }
    }, left > 0 ? Math.max(left * RENEW_AFTER, ASK_AGAIN) : CLOCKS_DIFFER);
  }

  /** While anything waits, silence is tested: a network that is gone does not say so. */
  #watch() {
    // Not by the wall clock, which may be set.
    const left = () => this.#options.pingInterval - (performance.now() - this.#heardAt);
    this.#later(left(), () => {
      if (left() > 0) this.#watch();
      else if (this.#handles.size > 0) {
        this.#probe(this.#options.pingTimeout * 2 ** Math.min(this.#unanswered, MOST_DOUBLINGS));
      }
    });
  }

  /** Scripts cannot see a large message while it comes: over a slow line silence is given more time at each try. */
  #probe(limit) {
    this.#probing = true;
    this.#socket.send(JSON.stringify({ id: randomId("ping_"), action: "streamer.ping" }));
    this.#later(limit, () => {
      this.#unanswered = this.#probing ? this.#unanswered + 1 : 0;
      if (!this.#probing) this.#watch();
      else this.#giveUp("the service did not answer a ping");
    });
  }

  /** The browser would wait for minutes before it says that the connection has ended. */
  #giveUp(reason) {
    this.#socket.close();
    this.#closed({ code: 1006, reason });
  }

  #later(milliseconds, act) {
    clearTimeout(this.#timer);
    this.#timer = startTimer(act, milliseconds);
  }

  #networkIsBack() {
    if (this.#state === "waiting") this.#open();
    else if (this.#handles.size > 0 && this.#state === "open") this.#probe(AFTER_OUTAGE);
  }
}
