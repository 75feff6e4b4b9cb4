/** Handles the end of an attempt or a connection; see `machine/ends.py`. */

import { blame, end, inOrder } from "./blame.js";
import { effects } from "./effects.js";
import {
  CLOSED_HERE, FIRST_DELAY, Interest, MOST_DOUBLINGS, Phase, TOKEN_EXPIRED, TOO_LARGE, UNAUTHORIZED, Why,
  finalClose, finalRefusal, newBreak, newState, replace,
} from "./state.js";

/** Another phase; events of earlier ones are ignored. */
function enter(state, phase) {
  return replace(state, { phase, epoch: state.epoch + 1 });
}

/** Starts an attempt now. */
export function dial(state, out) {
  state = replace(enter(state, Phase.CONNECTING), { retried: false, lost: null });
  out.push(effects.report(Phase.CONNECTING), effects.dial(state.epoch));
  return state;
}

/** The first attempt is due at once, further ones after a random delay: exponential back-off with full jitter. */
export function wait(state, out, code = null, reason = "") {
  const doublings = Math.min(state.tries - 1, MOST_DOUBLINGS);
  const longest = doublings < 0 ? 0 : Math.min(state.options.longest, FIRST_DELAY * 2 ** doublings);
  state = replace(enter(state, Phase.WAITING), { tries: state.tries + 1 });
  out.push(effects.wait(state.epoch, longest, state.tries, code, reason));
  return state;
}

/** An attempt failed or was refused. */
export function failed(state, event, out) {
  const { epoch, code = null, reason = "", status = null, final = false } = event;
  if (state.phase !== Phase.CONNECTING || epoch !== state.epoch) return state;
  if (status === UNAUTHORIZED && state.options.renewable && !state.retried) {
    // The token may have expired on its way, or its key was just replaced: try once more, then it is invalid.
    state = replace(enter(state, Phase.CONNECTING), { retried: true });
    out.push(effects.dial(state.epoch));
    return state;
  }
  out.push(effects.tried(true));
  if (final || finalRefusal(status) || !state.options.reconnect) {
    for (const { id } of inOrder(state)) state = end(state, out, effects.end(id, Why.REFUSED));
    out.push(effects.report(Phase.REFUSED, code, reason));
    return replace(enter(state, Phase.REFUSED), { wanted: false });
  }
  return goOn(state, code, reason, out);
}

/** A connection has ended; `expected`: this client ended it for a reason that no request caused. */
export function ended(state, { epoch, code, reason = "", now = 0, refused = false }, out, expected = false) {
  if ((state.phase !== Phase.CONNECTING && state.phase !== Phase.OPEN) || epoch !== state.epoch) return state;
  if (state.phase === Phase.CONNECTING) {
    out.push(effects.tried(false));
  } else if (now - state.opened_at >= state.options.longest) {
    // Only a stable connection resets the count, so that a service that drops every connection is not overloaded.
    state = replace(state, { tries: 0, refreshed: false });
  }
  // An expired token allows another connection if a fresh token can be obtained.
  const refresh = code === TOKEN_EXPIRED && state.options.renewable && !state.refreshed;
  if (refresh) state = replace(state, { refreshed: true });
  if (!expected) {
    const before = state.requests.size;
    state = blame(state, { code, reason, refused }, out);
    // The cause is known, and will not end the next connection.
    if (state.requests.size < before) state = replace(state, { tries: 0 });
  }
  // The message that was too large is identified and not sent again; the other requests continue.
  const helps = refresh || code === TOO_LARGE || !finalClose(code);
  if (!(state.options.reconnect && helps)) return finish(state, newBreak(code, reason), out);
  return goOn(beginAnew(state, code, reason, out), code, reason, out);
}

/** Fails everything that waits. */
function finish(state, lost, out) {
  const { code, reason } = lost;
  for (const { id, about } of inOrder(state)) {
    if (about === null) state = end(state, out, effects.end(id, Why.LOST, { code, reason }));
  }
  if (state.phase !== Phase.REFUSED) out.push(effects.report(Phase.CLOSED, code, reason));
  const { options, tries, refreshed, added, asked } = state;
  return newState(options, { phase: Phase.CLOSED, epoch: state.epoch + 1, tries, refreshed, lost, added, asked });
}

/** The program closes the client. */
export function close(state, out) {
  if (state.phase === Phase.CLOSED) return state;
  if (state.phase === Phase.CONNECTING) out.push(effects.tried(true));
  if (state.phase === Phase.CONNECTING || state.phase === Phase.OPEN) out.push(effects.hangUp(true));
  return finish(state, newBreak(CLOSED_HERE.code, CLOSED_HERE.reason), out);
}

/** No caller waits in `connect()`; the attempt continues only if something else waits for it. */
export function withdraw(state, out) {
  if (state.phase !== Phase.CONNECTING || needed(state)) return state;
  out.push(effects.hangUp(false), effects.report(Phase.IDLE));
  return enter(state, Phase.IDLE);
}

/** Marks what the next connection may send as unsent. */
function beginAnew(state, code, reason, out) {
  for (const request of inOrder(state)) {
    if (request.about !== null) {
      state = replace(state, { requests: state.requests.without(request.id) });
    } else if (!request.stored && !request.resend && request.sends > 0) {
      state = end(state, out, effects.end(request.id, Why.LOST, { code, reason }));
    } else if (request.sent) {
      const unsent = replace(request, { sent: false, unanswered: false });
      state = replace(state, { requests: state.requests.put(request.id, unsent) });
    }
  }
  return replace(state, { line: [], awaited: null, process: null });
}

function goOn(state, code, reason, out) {
  if (needed(state)) return wait(state, out, code, reason);
  out.push(effects.report(Phase.IDLE, code, reason));
  return enter(state, Phase.IDLE);
}

function needed(state) {
  return state.wanted || [...state.requests].some(({ interest }) => interest !== Interest.LEFT);
}
