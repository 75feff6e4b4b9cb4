/** Validates the arguments of callers; and small helpers that several modules need. */

const LONGEST_TIMER = 2 ** 31 - 1; // a longer one fires at once
const DURATIONS = ["maxReconnectDelay", "openTimeout", "pingInterval", "pingTimeout"];
const NAME = /^(?:[^\p{C}\p{Z}]| ){1,128}$/u; // ids of requests and clients that a service accepts
const DEFAULTS = {
  reconnect: true, resend: true, maxReconnectDelay: 30_000,
  openTimeout: 10_000, pingInterval: 30_000, pingTimeout: 20_000,
  storageKey: "streamer.client_id", random: Math.random,
};

/** The options without those that are null or undefined, which mean the default. */
export function given(options) {
  return Object.fromEntries(Object.entries(options ?? {}).filter(([, value]) => value != null));
}

/** The options of a client, complete and validated. */
export function checkedOptions(options) {
  const checked = { WebSocket: globalThis.WebSocket, ...DEFAULTS, ...options };
  for (const name of DURATIONS) checked[name] = duration(name, checked[name]);
  checkFunctions(checked, ["onStateChange", "random", "WebSocket"]);
  if (checked.WebSocket === undefined) {
    throw new TypeError("There is no global WebSocket; pass one as an option, such as that of the package ws");
  }
  return checked;
}

/** Milliseconds that a timer can wait: Infinity means its maximum. */
function duration(name, value) {
  if (typeof value !== "number" || Number.isNaN(value)) throw new TypeError(`${name} must be a number of milliseconds`);
  if (value <= 0) throw new RangeError(`${name} must be above 0 milliseconds; it is ${value}`);
  return Math.min(value, LONGEST_TIMER);
}

export function checkFunctions(options, names) {
  for (const name of names) {
    if (options[name] != null && typeof options[name] !== "function") throw new TypeError(`${name} must be a function`);
  }
}

/** Validated here, since the service could not say which request, or which client, it refuses. */
export function checkName(what, name) {
  if (typeof name !== "string" || !NAME.test(name)) throw new TypeError(`${what} must be a string of 1 to 128 printable characters`);
}

export function checkRequest({ id, wait, signal }) {
  if (signal !== undefined && typeof signal.addEventListener !== "function") throw new TypeError("signal must be an AbortSignal");
  checkName("id", id);
  if (typeof wait === "number" && !(wait >= 0 && wait < Infinity)) {
    throw new RangeError(`wait must be zero or more seconds, or a string such as "2s"; it is ${wait}`);
  }
}

export function startTimer(act, milliseconds) {
  return setTimeout(act, Math.min(Math.max(Number(milliseconds) || 0, 0), LONGEST_TIMER));
}

export function randomId(prefix = "") {
  // Not randomUUID, which pages without TLS do not have.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return prefix + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  // A waiting caller gets the failure; without a caller it is no unhandled rejection.
  made.promise.catch(() => {});
  return made;
}

/** Calls soon, in order: an exception of a callback neither breaks the connection nor is lost. */
export function callBack(callback, ...values) {
  if (callback) queueMicrotask(() => callback(...values));
}
