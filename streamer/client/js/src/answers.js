/** The reaction to a message of the service; see `machine/answers.py`. */

import { end, inOrder } from "./blame.js";
import { effects } from "./effects.js";
import { ended } from "./ends.js";
import { forget } from "./sending.js";
import { ABNORMAL, ASK_AGAIN, Interest, Kind, MOST_SENDS, Phase, Why, replace } from "./state.js";

const TERMINAL = new Set([Kind.SUCCEEDED, Kind.FAILED, Kind.BUSY]);

/** A message about one request. */
export function message(state, { id, kind, seq = null, reconnect = false, delay = null }, out) {
  if (state.phase !== Phase.OPEN) return state;
  if (state.refreshed) state = replace(state, { refreshed: false }); // the fresh token was accepted
  let request = state.requests.get(id);
  if (request === null) return state;
  if (request.about !== null) return questionAnswered(state, request, kind, delay, out);
  if (kind === Kind.BUSY && !request.stored) {
    // The service is about to close this connection, and the request is sent again on the next one.
    if (reconnect && state.options.reconnect && request.resend) return state;
    if (request.sends > 1 || request.patient) {
      // An earlier message may have been stored; a busy service reveals nothing about it.
      out.push(effects.later(state.epoch, request.id, delay ?? ASK_AGAIN));
      return state;
    }
  }
  if (seq !== null && seq <= request.seq) return state;
  out.push(effects.deliver(request.id));
  if (TERMINAL.has(kind)) return replace(state, { requests: state.requests.without(request.id) });
  if (seq !== null) request = replace(request, { seq });
  else if (kind !== Kind.ACKNOWLEDGED) return state;
  return store(state, request, out);
}

/** The service has the request, and has answered in some way. */
function store(state, request, out) {
  request = replace(request, {
    stored: true, unanswered: false, undecided: false, sends: 0, breaks: 0, deaths: 0, outlived: 0,
  });
  if (request.interest !== Interest.AWAITED) return forget(state, request, out);
  return replace(state, { requests: state.requests.put(request.id, request) });
}

function questionAnswered(state, question, kind, delay, out) {
  if (!TERMINAL.has(kind)) return state;
  state = replace(state, { requests: state.requests.without(question.id) });
  const request = state.requests.get(question.about);
  if (request === null) return state;
  if (kind === Kind.SUCCEEDED) {
    out.push(effects.confirm(request.id));
    return store(state, request, out);
  }
  if (kind === Kind.BUSY) {
    out.push(effects.later(state.epoch, request.id, delay ?? ASK_AGAIN));
    return state;
  }
  return end(state, out, effects.end(request.id, Why.ERROR));
}

/** An error that names no request. */
export function unaddressed(state, { now = 0, reason = "", gateway = false }, out) {
  if (state.phase !== Phase.OPEN) return state;
  const unanswered = inOrder(state).filter((request) => request.unanswered && request.about === null);
  if (gateway && state.options.reconnect && unanswered.some(({ stored, resend }) => stored || resend)) {
    // A function failed for one of these requests, and only another connection shows for which. This is limited,
    // because the function may fail because of the request.
    for (const { id, sends: times, stored } of unanswered) {
      if (times < MOST_SENDS) continue;
      // A stored request continues; only its outcome cannot be read.
      const why = stored ? Why.NOT_ANSWERED : Why.FUNCTION_FAILED;
      state = end(state, out, effects.end(id, why, { code: ABNORMAL, reason, times, stored }));
    }
    out.push(effects.hangUp(false));
    return ended(state, { epoch: state.epoch, code: ABNORMAL, reason, now }, out, true);
  }
  // Every request is kept until it is answered, so the error can only belong to this one.
  if (unanswered.length === 1) return end(state, out, effects.end(unanswered[0].id, Why.ERROR));
  out.push(effects.unclear(unanswered.length));
  return state;
}

/** A message that was not read, because it is too large. */
export function tooLarge(state, { id }, out) {
  const request = state.requests.get(id);
  if (state.phase !== Phase.OPEN || request === null) return state;
  if (request.about === null) return end(state, out, effects.end(request.id, Why.ANSWER_TOO_LARGE));
  state = replace(state, { requests: state.requests.without(request.id) });
  if (!state.requests.has(request.about)) return state;
  return end(state, out, effects.end(request.about, Why.ANSWER_TOO_LARGE));
}

/** No caller waits for a request any longer. */
export function abandoned(state, { id, cancel = false }, out) {
  const request = state.requests.get(id);
  if (request === null || request.interest !== Interest.AWAITED) return state;
  if ((request.stored && cancel) || (!request.stored && request.sends === 0)) return forget(state, request, out);
  const left = replace(request, { interest: cancel ? Interest.CANCELLED : Interest.LEFT });
  return replace(state, { requests: state.requests.put(id, left) });
}
