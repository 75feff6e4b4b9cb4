/** The state machine of the JavaScript client answers as the traces say: the shared ones, and those of `WALKS`. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

import { newRequest, newState } from "../../../streamer/client/js/src/state.js";
import { Table } from "../../../streamer/client/js/src/table.js";
import { nextState } from "../../../streamer/client/js/src/transitions.js";

const FOLDER = new URL("../../client_traces/", import.meta.url);
const usualState = newState();
const usualRequest = newRequest("", null);

function differing(record, usual, hidden) {
  const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
  const kept = Object.entries(record).filter(([name, value]) => !hidden.includes(name) && !same(value, usual[name]));
  return Object.fromEntries(kept);
}

/** A state as a trace shows it: only what differs from the default. */
function shown(state) {
  const ordered = [...state.requests].sort((one, other) => one.order - other.order);
  const requests = ordered.map((request) => [request.id, differing(request, usualRequest, ["id"])]);
  const fields = { phase: state.phase, ...differing(state, usualState, ["options", "requests"]) };
  return requests.length > 0 ? { ...fields, requests: Object.fromEntries(requests) } : fields;
}

function play({ options, steps }) {
  let state = newState(options);
  for (const { event, effects, state: expected } of steps) {
    const [earlier, before] = [state, shown(state)];
    const [next, todo] = nextState(state, event);
    assert.deepEqual({ event, effects: todo, state: shown(next) }, { event, effects, state: expected });
    assert.deepEqual(shown(earlier), before, "a state was changed after it was returned");
    state = next;
  }
}

for (const name of readdirSync(FOLDER).filter((one) => one.endsWith(".json"))) {
  test(`the trace ${name} is answered as it is written`, () => play(JSON.parse(readFileSync(new URL(name, FOLDER)))));
}

test("random walks lead both clients to the same states and effects", () => {
  const walks = JSON.parse(readFileSync(process.env.WALKS));
  assert.ok(walks.length > 0);
  for (const walk of walks) play(walk);
});

test("a table is not changed by what is made of it", () => {
  const first = new Table(new Map([["a", 1]]));
  const second = first.put("b", 2);
  const third = second.without("a").put("b", 3);
  assert.deepEqual([[...third], first.has("a"), first.has("b"), first.size, [...second].sort()], [[3], true, false, 1, [1, 2]]);
  assert.equal(third.get("a"), null);
});
