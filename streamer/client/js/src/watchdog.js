/** Pings a silent service while any request waits, since a lost network reports no error. */

import { startTimer } from "./options.js";

const AFTER_OUTAGE = 5000; // milliseconds: after an outage, an older connection is more often dead than slow
const MOST_DOUBLINGS_OF_PING = 5; // of the time that the answer to a ping may take

export class Watchdog {
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
