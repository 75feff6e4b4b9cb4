/** Decides what a connection sends, and when; see `machine/sending.py`. */

import { inOrder } from "./blame.js";
import { effects } from "./effects.js";
import { Interest, TURN, newRequest, replace } from "./state.js";

/** Sends waiting requests over a new connection, in the order in which they were submitted. */
export function sendAll(state, out) {
  for (const request of inOrder(state)) {
    if (request.interest !== Interest.AWAITED) state = forget(state, request, out);
  }
  const waiting = inOrder(state);
  // The request that was sent just before the connection ended is the likeliest cause. A stored one stays in progress
  // after its turn and would be suspected again, so those that end with their answer come first.
  const rank = (request) => (request.id !== state.suspect ? 2 : 0) + (request.stored ? 1 : 0);
  const suspects = waiting.filter(({ suspect }) => suspect).sort((one, other) => rank(one) - rank(other));
  const line = [...suspects, ...waiting.filter(({ suspect }) => !suspect)];
  return advance(replace(state, { line: line.map(({ id }) => id) }), out);
}

/** Sends the queue up to the first request that must be sent alone, and that one. */
export function advance(state, out) {
  let place = 0;
  state = replace(state, { suspect: null, awaited: null });
  while (place < state.line.length) {
    const request = state.requests.get(state.line[place]);
    place += 1;
    if (request === null || request.sent) continue;
    if (request.interest !== Interest.AWAITED) {
      state = forget(state, request, out);
      continue;
    }
    state = send(state, request, out);
    if (request.suspect) {
      out.push(effects.turn(state.epoch, request.id, TURN));
      const awaited = request.stored ? questionId(state) : request.id;
      return replace(state, { line: state.line.slice(place), suspect: request.id, awaited });
    }
  }
  return replace(state, { line: [] });
}

/** The request that was sent alone was answered, or the others have waited long enough. */
export function turnOver(state, out) {
  const request = state.requests.get(state.suspect);
  if (request !== null) {
    state = replace(state, { requests: state.requests.put(request.id, replace(request, { suspect: false })) });
  }
  return advance(state, out);
}

/** Whether the queue no longer waits for anything. */
export function wasAnswered(state) {
  const request = state.requests.get(state.awaited);
  return request === null || request.stored || request.interest !== Interest.AWAITED;
}

/** Sends a request, for the first time or again; resumes one that the service has stored. */
export function send(state, request, out) {
  const sent = replace(request, { sent: true, unanswered: true, sends: request.sends + 1 });
  const requests = state.requests.put(sent.id, sent);
  if (!sent.stored) {
    out.push(effects.send(sent.id));
    return replace(state, { requests });
  }
  state = replace(state, { asked: state.asked + 1 });
  // Not sent again: the next connection resumes it with the newer seq.
  const question = newRequest(questionId(state), state.added, { resend: false, about: sent.id, sends: 1, sent: true });
  out.push(effects.ask(sent.id, question.id, sent.seq));
  return replace(state, { added: state.added + 1, requests: requests.put(question.id, question) });
}

/** Of the newest resume message. */
function questionId(state) {
  return `${state.options.name}-${state.asked}`;
}

/** No caller waits for the request any longer, and nothing must be done for it here. */
export function forget(state, request, out) {
  out.push(effects.forget(request.id, request.stored || request.sends > 0));
  return replace(state, { requests: state.requests.without(request.id) });
}
