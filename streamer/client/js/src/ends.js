/** How a try or a connection ends, and what comes after it; see `machine/ends.py`. */

import { blame, end, inOrder } from "./blame.js";
import { effects } from "./effects.js";
import {
  CLOSED_HERE, FIRST_DELAY, Interest, MOST_DOUBLINGS, Phase, TOKEN_EXPIRED, TOO_LARGE, UNAUTHORIZED, Why,
  finalClose, finalRefusal, newBreak, newState, replace,
} from "./state.js";

/** Another phase, in which nothing counts that was begun before. */
function enter(state, phase) {
  return replace(state, { phase, epoch: state.epoch + 1 });
}

/** Tries once, now. */
export function dial(state, out) {
  state = replace(enter(state, Phase.CONNECTING), { retried: false, lost: null });
  out.push(effects.report(Phase.CONNECTING), effects.dial(state.epoch));
  return state;
}

/** The first try is due at once, further ones after a random delay: exponential back-off with full jitter. */
export function wait(state, out, code = null, reason = "") {
  const doublings = Math.min(state.tries - 1, MOST_DOUBLINGS);
  const longest = doublings < 0 ? 0 : Math.min(state.options.longest, FIRST_DELAY * 2 ** doublings);
  state = replace(enter(state, Phase.WAITING), { tries: state.tries + 1 });
  out.push(effects.wait(state.epoch, longest, state.tries, code, reason));
  return state;
}

/** A try was refused, or led to nothing. */
export function failed(state, event, out) {
  const { epoch, code = null, reason = "", status = null, final = false } = event;
  if (state.phase !== Phase.CONNECTING || epoch !== state.epoch) return state;
  if (status === UNAUTHORIZED && state.options.renewable && !state.retried) {
    // The token may have run out on its way, or its key was just replaced: one more, and then it is wrong.
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

/** A connection has ended; `expected`: this client ended it for a reason of its own, for which no request is to blame. */
export function ended(state, { epoch, code, reason = "", now = 0, refused = false }, out, expected = false) {
  if ((state.phase !== Phase.CONNECTING && state.phase !== Phase.OPEN) || epoch !== state.epoch) return state;
  if (state.phase === Phase.CONNECTING) {
    out.push(effects.tried(false));
  } else if (now - state.opened_at >= state.options.longest) {
    // Only a connection that lasted starts the count anew: a service that drops what it takes is not hammered.
    state = replace(state, { tries: 0, refreshed: false });
  }
  // An expired token is worth one connection more where a fresh one can be had.
  const refresh = code === TOKEN_EXPIRED && state.options.renewable && !state.refreshed;
  if (refresh) state = replace(state, { refreshed: true });
  if (!expected) {
    const before = state.requests.size;
    state = blame(state, { code, reason, refused }, out);
    // The cause is known, and will not end the next connection.
    if (state.requests.size < before) state = replace(state, { tries: 0 });
  }
  // What was too large has been found and left out, and the others go on.
  const helps = refresh || code === TOO_LARGE || !finalClose(code);
  if (!(state.options.reconnect && helps)) return finish(state, newBreak(code, reason), out);
  return goOn(beginAnew(state, code, reason, out), code, reason, out);
}

/** Ends everything that waits. */
function finish(state, lost, out) {
  const { code, reason } = lost;
  for (const { id, about } of inOrder(state)) {
    if (about === null) state = end(state, out, effects.end(id, Why.LOST, { code, reason }));
  }
  if (state.phase !== Phase.REFUSED) out.push(effects.report(Phase.CLOSED, code, reason));
  const { options, tries, refreshed, added, asked } = state;
  return newState(options, { phase: Phase.CLOSED, epoch: state.epoch + 1, tries, refreshed, lost, added, asked });
}

/** The program has had enough. */
export function close(state, out) {
  if (state.phase === Phase.CLOSED) return state;
  if (state.phase === Phase.CONNECTING) out.push(effects.tried(true));
  if (state.phase === Phase.CONNECTING || state.phase === Phase.OPEN) out.push(effects.hangUp(true));
  return finish(state, newBreak(CLOSED_HERE.code, CLOSED_HERE.reason), out);
}

/** Nobody waits in `connect()`; the try goes on only where something else waits for it. */
export function withdraw(state, out) {
  if (state.phase !== Phase.CONNECTING || needed(state)) return state;
  out.push(effects.hangUp(false), effects.report(Phase.IDLE));
  return enter(state, Phase.IDLE);
}

/** Leaves what the next connection may send, as if it had not been sent. */
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
