/** The handle of a request that waits for its answers. */

import { serviceError } from "./errors.js";
import { callBack, checkFunctions, deferred } from "./options.js";

const MOST_UNREAD = 1000;

/** One request, over all connections: `for await` yields its progress, and `result` settles with its outcome. */
export class RequestHandle {
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
