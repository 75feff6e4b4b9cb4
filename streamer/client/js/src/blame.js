/** Decides which request caused a broken connection; see `machine/blame.py`. */

import { effects } from "./effects.js";
import {
  ABNORMAL, GOING_AWAY, MOST_BREAKS, MOST_OUTLIVED, MOST_SHARED, NO_CAUSE, TOO_LARGE, Why, newBreak, replace,
} from "./state.js";

/** Fails the requests that caused the end of the connection; counts, and marks those to be sent alone. */
export function blame(state, event, out) {
  if (NO_CAUSE.has(event.code) && !event.refused) return state;
  const sent = inOrder(state).filter((request) => request.sent && request.about === null);
  const unanswered = sent.filter((request) => request.unanswered);
  if (event.refused) return answerTooLarge(state, event, sent, out);
  if (event.code === TOO_LARGE) return requestTooLarge(state, event, unanswered, out);
  // If the service sends the id of its process, the next handshake shows more.
  const decided = state.process === null || event.code !== ABNORMAL;
  const how = newBreak(event.code, event.reason, state.process);
  const counted = unanswered.map((request) =>
    replace(request, {
      breaks: request.breaks + 1,
      deaths: request.deaths + (decided ? 1 : 0),
      suspect: request.breaks + 1 >= MOST_BREAKS - 1,
      alone: unanswered.length === 1,
      undecided: !decided,
    }),
  );
  const next = kept(state, counted);
  return decided ? givenUp(next, counted, how, out) : replace(next, { last: how });
}

/** The same when the next connection has shown that the process kept running. */
export function blameLater(state, process, out) {
  const how = state.last;
  if (how === null) return state;
  const counted = inOrder(state).filter(({ undecided }) => undecided).map((request) =>
    replace(request, {
      undecided: false,
      deaths: request.deaths + (process !== how.process ? 1 : 0),
      outlived: request.outlived + (process === how.process && request.alone ? 1 : 0),
    }),
  );
  return givenUp(kept(replace(state, { last: null }), counted), counted, how, out);
}

/** The requests in the order in which they were submitted. */
export function inOrder(state) {
  return [...state.requests].sort((one, other) => one.order - other.order);
}

/** The request is over. */
export function end(state, out, effect) {
  out.push(effect);
  return replace(state, { requests: state.requests.without(effect.id) });
}

function kept(state, changed) {
  let { requests } = state;
  for (const request of changed) requests = requests.put(request.id, request);
  return replace(state, { requests });
}

function givenUp(state, counted, how, out) {
  for (const request of counted) {
    const few = request.alone && !request.stored && how.code !== GOING_AWAY;
    const mostDeaths = few ? MOST_BREAKS : MOST_SHARED;
    const mostOutlived = request.stored ? MOST_SHARED : MOST_OUTLIVED;
    if (request.deaths >= mostDeaths || request.outlived >= mostOutlived) {
      const { code, reason } = how;
      const { breaks: times, stored } = request;
      state = end(state, out, effects.end(request.id, Why.NOT_ANSWERED, { code, reason, times, stored }));
    }
  }
  return state;
}

/** The connection ended at the start of a message, before its request was known. */
function answerTooLarge(state, { code, reason }, sent, out) {
  const counted = sent.map((request) => replace(request, { refusals: request.refusals + 1, suspect: true }));
  const possible = counted.filter(({ refusals }) => counted.length === 1 || refusals >= MOST_SHARED);
  // Resuming a stored request would have shown this within moments.
  const direct = possible.filter(({ stored }) => !stored);
  const guilty = direct.length > 0 ? direct : possible;
  state = kept(state, counted);
  for (const { id } of guilty) state = end(state, out, effects.end(id, Why.ANSWER_TOO_LARGE, { code, reason }));
  if (guilty.length > 0) {
    // None of the others was the cause.
    const others = inOrder(state).filter(({ refusals }) => refusals > 0);
    state = kept(state, others.map((request) => replace(request, { refusals: 0 })));
  }
  return state;
}

/** The service closes at the first message above its limit, so the largest message certainly is. */
function requestTooLarge(state, { code, reason }, unanswered, out) {
  if (unanswered.length === 0) return state;
  const sizeOf = (request) => (request.stored ? 0 : request.size);
  const largest = unanswered.reduce((one, other) => (sizeOf(other) > sizeOf(one) ? other : one));
  return end(state, out, effects.end(largest.id, Why.REQUEST_TOO_LARGE, { code, reason, size: sizeOf(largest) }));
}
