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
const LONGEST_TIMER = 2 ** 31 - 1;
// They blame what this client sent; the next connection would end in the same way.
const FINAL_CLOSE_CODES = new Set([1003, 1007, 1008, 1009]);
const BUSY = new Set(["RATE_LIMITED", "OVERLOADED"]);
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
  #parts = new Map(); // of messages that are too long for their way: by their names, what has come of them
  #timer; // one at a time: the next try, the handshake's limit, or the next look for a sign of life
  #renewal;
  #online = () => this.#networkIsBack();

  constructor(url, options = {}) {
    this.#options = { WebSocket: globalThis.WebSocket, ...DEFAULTS, ...options };
    if (this.#options.WebSocket === undefined) {
      throw new TypeError("There is no WebSocket here; give one as an option, such as that of the package ws");
    }
    this.#token = options.token;
    const address = new URL(url, globalThis.location?.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.hash = "";
    const { storage, storageKey } = this.#options;
    const known = options.clientId ?? address.searchParams.get("client_id") ?? storage?.getItem(storageKey);
    this.clientId = known ?? randomId();
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
  start(action, payload, { id = randomId("req_"), metadata, wait, signal, ...options } = {}) {
    const text = JSON.stringify({ id, action, payload, metadata, wait });
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
  async resume({ requestId, ...options } = {}) {
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
  async authenticate(token) {
    // Not to be sent again: the next connection begins with a token of its own.
    const answer = await this.request("streamer.authenticate", { token }, { resend: false });
    if (typeof this.#token !== "function") this.#token = token;
    return answer;
  }

  // Requests

  #handle(id, text, { resend = this.#options.resend, ...options }) {
    return new RequestHandle(id, text, (handle) => this.#cancel(handle), { resend, ...options });
  }

  #add(handle) {
    if (this.#handles.has(handle.id)) throw new Error(`Request ${handle.id} waits on this client already`);
    this.#handles.set(handle.id, handle);
    if (this.#lost) this.#lose(handle);
    else if (this.#state === "idle") this.#openLater();
    else if (this.#state === "open") {
      this.#tell(handle);
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

  /** Sends a request, for the first time or again; of one that the service has stored it asks for the rest. */
  #tell(handle) {
    if (handle._text !== null) {
      handle._sends += 1;
      this.#socket.send(handle._text);
      return;
    }
    const payload = { request_id: handle.id, after_seq: handle._seq };
    // Not to be sent again: the next connection asks anew, with the newer seq.
    this.start("streamer.resume", payload, { resend: false }).result.then(
      () => handle._stored(),
      (error) => {
        if (BUSY.has(error.code)) this.#tellLater(handle, error);
        else if (!(error instanceof ConnectionLost)) this.#end(handle, serviceError(error, handle.id));
      },
    );
  }

  #tellLater(handle, { details }) {
    const socket = this.#socket;
    // Another connection has been told already.
    const again = () => this.#socket === socket && !handle.done && this.#tell(handle);
    setTimeout(again, details?.retry_after_ms ?? ASK_AGAIN);
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
    this.#heardAt = Date.now();
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
  #openLater() {
    const { maxReconnectDelay, random } = this.#options;
    const ceiling = this.#tries === 0 ? 0 : Math.min(maxReconnectDelay, FIRST_DELAY * 2 ** (this.#tries - 1));
    const delay = random() * ceiling;
    this.#tries += 1;
    this.#later(delay, () => this.#open());
    this.#become("waiting", { delay, tries: this.#tries });
  }

  async #open() {
    clearTimeout(this.#timer);
    const attempt = (this.#socket = {}); // whoever puts another one in its place has ended this attempt
    this.#opening = deferred();
    this.#become("connecting");
    let token = this.#token;
    try {
      if (typeof token === "function") token = await token();
    } catch (error) {
      if (this.#socket === attempt) this.#closed({ code: 1006, reason: "the token callback failed", cause: error });
      return;
    }
    if (this.#socket !== attempt) return;
    let socket;
    try {
      // A browser fails a handshake in which it offered a subprotocol and none was taken.
      socket = new this.#options.WebSocket(this.#address, token == null ? [] : ["bearer", token]);
    } catch (error) {
      this.#finish({ code: 1006, reason: "it cannot be opened", cause: error });
      return;
    }
    this.#socket = socket;
    const on = (type, act) => socket.addEventListener(type, (event) => this.#socket === socket && act(event));
    on("open", () => this.#opened(token));
    on("message", ({ data }) => this.#receive(data));
    on("close", ({ code, reason }) => this.#closed({ code, reason }));
    // Not every implementation tells of the end of a connection that never began.
    on("error", () => this.#state === "connecting" && this.#closed({ code: 1006, reason: "" }));
    this.#later(this.#options.openTimeout, () => this.#giveUp("the service did not answer"));
  }

  #opened(token) {
    this.#renewLater(token);
    this.#parts.clear();
    this.#openedAt = this.#heardAt = Date.now();
    this.#become("open");
    this.#opening?.resolve();
    for (const handle of [...this.#handles.values()]) {
      if (handle._aborted) this.#cancelUnseen(handle);
      else this.#tell(handle);
    }
    this.#watch();
  }

  #closed(how) {
    this.#leaveSocket();
    // Only a connection that lasted starts the count anew: a service that drops what it takes is not hammered.
    const lasted = this.#state === "open" && Date.now() - this.#openedAt >= this.#options.maxReconnectDelay;
    if (lasted) this.#tries = 0;
    // An expired token is worth one more connection where a fresh one can be had.
    const refresh = how.code === TOKEN_EXPIRED && typeof this.#token === "function" && !this.#refreshed;
    this.#refreshed ||= refresh;
    if (!this.#options.reconnect || !(mayReconnect(how.code) || refresh)) {
      this.#finish(how);
      return;
    }
    this.#opening?.reject(new ConnectionLost(this.url, how));
    for (const handle of this.#handles.values()) {
      if (handle._text !== null && handle._sends > 0 && !handle._resend) this.#lose(handle, how);
    }
    if (this.#handles.size > 0) this.#openLater();
    else this.#become("idle", how);
  }

  #finish(how) {
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
    return socket;
  }

  /** A token that runs out is renewed on the standing connection before; if that fails, the service closes in time. */
  #renewLater(token) {
    const left = typeof this.#token === "function" ? expiry(token) - Date.now() : NaN;
    if (Number.isNaN(left)) return;
    const socket = this.#socket;
    this.#renewal = setTimeout(async () => {
      try {
        const fresh = await this.#token();
        if (this.#socket !== socket) return;
        await this.authenticate(fresh);
        this.#renewLater(fresh);
      } catch {
        // The close with 3500 asks for a token once more.
      }
    }, Math.min(Math.max(left * RENEW_AFTER, ASK_AGAIN), LONGEST_TIMER));
  }

  /** While anything waits, silence is tested: a network that is gone does not say so. */
  #watch() {
    this.#later(this.#options.pingInterval - (Date.now() - this.#heardAt), () => {
      if (Date.now() - this.#heardAt < this.#options.pingInterval) this.#watch();
      else if (this.#handles.size > 0) this.#probe();
    });
  }

  #probe(limit = this.#options.pingTimeout) {
    this.#heardAt = 0;
    this.#socket.send(JSON.stringify({ id: randomId("ping_"), action: "streamer.ping" }));
    this.#later(limit, () => {
      if (this.#heardAt > 0) this.#watch();
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
    this.#timer = setTimeout(act, milliseconds);
  }

  #networkIsBack() {
    if (this.#state === "waiting") this.#open();
    else if (this.#handles.size > 0 && this.#state === "open") this.#probe(AFTER_OUTAGE);
  }
}
