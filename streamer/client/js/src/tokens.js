/** The client's token: its validation, and its renewal on an open connection before it expires. */

import { startTimer } from "./options.js";

const RENEW_AFTER = 0.8; // of a token's remaining lifetime
const LEAST_WAIT = 1000; // milliseconds between renewals, whatever the token says
const CLOCKS_DIFFER = 60_000; // until the renewal of an accepted token that has already expired by this clock

/** The token as a subprotocol contains it, without the line break at the end of a file. */
export function usable(token) {
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
export class Renewal {
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
