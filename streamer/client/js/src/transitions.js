/** The transition for each event; see `machine/transitions.py`, and `machine/__init__.py` for the table of phases. */

import { abandoned, message, tooLarge, unaddressed } from "./answers.js";
import { blameLater } from "./blame.js";
import { effects } from "./effects.js";
import { close, dial, ended, failed, wait, withdraw } from "./ends.js";
import { send, sendAll, turnOver, wasAnswered } from "./sending.js";
import { Phase, Why, newRequest, replace } from "./state.js";

/** The state after the event, and the effects, in order. */
export function nextState(state, event) {
  const out = [];
  state = ON[event.event](state, event, out);
  if (state.awaited !== null && wasAnswered(state)) state = turnOver(state, out);
  return [state, out];
}

function connect(state, _event, out) {
  if (state.phase === Phase.CONNECTING || state.phase === Phase.OPEN) return state;
  return dial(replace(state, { refreshed: false }), out);
}

function wanted(state, _event, out) {
  if (state.phase === Phase.OPEN || state.phase === Phase.CLOSED) return state;
  return woken(replace(state, { wanted: true }), out);
}

function submitted(state, { id, size = 0, stored = false, resend = true, patient = false }, out) {
  if (state.phase === Phase.CLOSED) {
    const { code, reason } = state.lost;
    out.push(effects.end(id, Why.LOST, { code, reason }));
    return state;
  }
  const request = newRequest(id, state.added, { size, stored, resend, patient });
  state = replace(state, { added: state.added + 1 });
  if (state.phase === Phase.OPEN && state.awaited === null) return send(state, request, out);
  state = replace(state, { requests: state.requests.put(id, request) });
  if (state.phase === Phase.OPEN) return replace(state, { line: [...state.line, id] });
  return woken(state, out);
}

/** Something waits for a connection, which is opened unless that is in progress. */
function woken(state, out) {
  return state.phase === Phase.IDLE || state.phase === Phase.REFUSED ? wait(state, out) : state;
}

function adopted(state, { id }, out) {
  if (state.phase !== Phase.OPEN) return submitted(state, { id, stored: true }, out);
  const request = newRequest(id, state.added, { stored: true, sent: true });
  return replace(state, { added: state.added + 1, requests: state.requests.put(id, request) });
}

function due(state, { epoch }, out) {
  return state.phase === Phase.WAITING && epoch === state.epoch ? dial(state, out) : state;
}

function opened(state, { epoch, now = 0, process = null }, out) {
  if (state.phase !== Phase.CONNECTING || epoch !== state.epoch) return state;
  const again = state.reopens;
  state = replace(state, {
    phase: Phase.OPEN, opened_at: now, process, wanted: false, retried: false, reopens: true,
  });
  state = blameLater(state, process, out);
  out.push(effects.tried(false), effects.report(Phase.OPEN));
  state = sendAll(state, out);
  if (again) out.push(effects.reopened());
  return state;
}

function turnIsOver(state, { epoch, id }, out) {
  if (state.phase !== Phase.OPEN || epoch !== state.epoch || id !== state.suspect) return state;
  return turnOver(state, out);
}

function again(state, { epoch, id }, out) {
  const request = state.requests.get(id);
  // On another connection, everything has been sent again.
  if (state.phase !== Phase.OPEN || epoch !== state.epoch || request === null) return state;
  return send(state, request, out);
}

const ON = {
  connect,
  withdraw: (state, _event, out) => withdraw(state, out),
  close: (state, _event, out) => close(state, out),
  wanted,
  submitted,
  adopted,
  abandoned,
  due,
  opened,
  failed,
  ended: (state, event, out) => ended(state, event, out),
  message,
  unaddressed,
  too_large: tooLarge,
  turn_over: turnIsOver,
  again,
};
