/** A service of which the test says every word: sockets that are opened, answered and ended by hand. */

export function fakeService() {
  const sockets = [];
  const arrivals = [];

  class FakeWebSocket extends EventTarget {
    #unread = [];
    #readers = [];

    constructor(url, protocols) {
      super();
      if (protocols.some((one) => one.includes(" "))) throw new SyntaxError("not a subprotocol");
      Object.assign(this, { url: new URL(url), protocols, closedWith: null });
      sockets.push(this);
      arrivals.shift()?.(this);
    }

    send(text) {
      const message = JSON.parse(text);
      const reader = this.#readers.shift();
      if (reader) reader(message);
      else this.#unread.push(message);
    }

    close(code = 1005) {
      this.closedWith = code;
      queueMicrotask(() => this.end(code));
    }

    /** The next message of the client. */
    async next() {
      return this.#unread.shift() ?? (await new Promise((resolve) => this.#readers.push(resolve)));
    }

    get silent() {
      return this.#unread.length === 0;
    }

    say(message) {
      this.#tell("message", { data: typeof message === "string" ? message : JSON.stringify(message) });
    }

    answer({ id }, data = null) {
      this.say({ type: "response", request_id: id, success: true, data });
    }

    fail({ id }, code, more = {}) {
      this.say({ type: "error", request_id: id, ...more, error: { code, message: "no", retryable: false, ...more.error } });
    }

    acknowledge({ id }) {
      this.say({ type: "acknowledgment", request_id: id, seq: 0, status: "queued", message: "" });
    }

    progress({ id }, seq, percentage) {
      this.say({ type: "progress", request_id: id, seq, percentage, message: "", timestamp: "2026-01-01T00:00:00.000Z" });
    }

    complete({ id }, seq, result) {
      this.say({ type: "complete", request_id: id, seq, success: true, result, timestamp: "2026-01-01T00:00:01.000Z" });
    }

    open() {
      this.#tell("open");
      return this;
    }

    end(code = 1006, reason = "") {
      this.#tell("close", { code, reason });
    }

    error() {
      this.#tell("error");
    }

    #tell(type, more = {}) {
      this.dispatchEvent(Object.assign(new Event(type), more));
    }
  }

  let taken = 0;
  return {
    WebSocket: FakeWebSocket,
    sockets,
    /** The next socket that the client makes, before its handshake. */
    async arrival() {
      taken += 1;
      return sockets[taken - 1] ?? (await new Promise((resolve) => arrivals.push(resolve)));
    },
    /** The same, after its handshake. */
    async connection() {
      return (await this.arrival()).open();
    },
  };
}
