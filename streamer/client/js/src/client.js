/** The public client class. */

import { Connection } from "./connection.js";
import { ConnectionLost, StreamerError } from "./errors.js";
import { RequestHandle } from "./handle.js";
import { checkName, checkRequest, checkedOptions, given, randomId } from "./options.js";
import { usable } from "./tokens.js";

/** A client of one service, over one connection at a time. */
export class StreamerClient {
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
