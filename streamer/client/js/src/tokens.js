/** The proof of who asks: what can be a token, and its renewal on an open connection before it runs out. */

import { startTimer } from "./options.js";

const RENEW_AFTER = 0.8; // of the time that a token has left
const LEAST_WAIT = 1000; // milliseconds to a renewal, whatever the token says
const CLOCKS_DIFFER = 60_000; // to the renewal of a token that was taken though it has run out by this clock

/** The token as a subprotocol carries it: files and pages that hold one end with a line break, which is none of it. */
export function usable(token) {
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

/** When a JSON Web Token runs out; NaN where it does not say so. Whether it is right is the service's business. */
function expiry(token) {
  try {
    const body = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(atob(body)).exp * 1000;
  } catch {
    return NaN;
  }
}

/** Gives the service a fresh token before the one of the connection runs out; if that fails, the service closes in time. */
export class Renewal {
  #bring;
  #prove;
  #timer;
  #round = 0; // whatever was begun in an earlier one is of no interest

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
        // The close with 3500 asks for a token once more.
      }
    }, left > 0 ? Math.max(left * RENEW_AFTER, LEAST_WAIT) : CLOCKS_DIFFER);
  }

  /** The connection has ended. */
  stop() {
    clearTimeout(this.#timer);
    this.#round += 1;
  }
}
