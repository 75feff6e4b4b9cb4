/** One attempt to connect, and its WebSocket. */

import { startTimer } from "./options.js";
import { ABNORMAL } from "./state.js";
import { usable } from "./tokens.js";

const isTooLarge = ({ error, message }) =>
  error?.code === "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" || /payload size|too (large|big)/i.test(error?.message ?? message ?? "");

/** Reports events until it is left, or has reported its failure or end. */
export class ClientSocket {
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
