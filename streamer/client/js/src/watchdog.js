/** While anything waits, silence is tested: a network that is gone does not say so. */

import { startTimer } from "./options.js";

const AFTER_OUTAGE = 5000; // milliseconds: a connection from before is more often dead than slow
const MOST_DOUBLINGS_OF_PING = 5; // of the time that the answer to a ping may take

export class Watchdog {
  #options;
  #calls; // isNeeded, ping, giveUp
  #timer;
  #heardAt = 0;
  #probing = false;
  #unanswered = 0; // pings in a row that were not answered in their time

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

  /** The service has said something. */
  heard() {
    // Not by the wall clock, which may be set.
    this.#heardAt = performance.now();
    this.#probing = false;
  }

  /** Looks again when the silence has lasted for long. */
  watch() {
    const left = () => this.#options.pingInterval - (performance.now() - this.#heardAt);
    this.#later(left(), () => {
      if (left() > 0) this.watch();
      else if (this.#calls.isNeeded()) {
        this.#probe(this.#options.pingTimeout * 2 ** Math.min(this.#unanswered, MOST_DOUBLINGS_OF_PING));
      }
    });
  }

  /** The browser says that the network is back. */
  networkIsBack() {
    if (this.#calls.isNeeded()) this.#probe(AFTER_OUTAGE);
  }

  /** Scripts cannot see a large message while it comes: over a slow line silence is given more time at each try. */
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
