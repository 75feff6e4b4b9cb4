/** What the JavaScript client makes of odd options, tokens that do not come, and requests that end their connections. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { ConnectionLost, MessageTooLarge, NotAnswered, StreamerClient } from "../../../streamer/client/js/streamer.js";
import { fakeService } from "./fake_service.mjs";

let service;
let clients;
let rejected;

const note = (error) => rejected.push(error);

beforeEach(() => {
  service = fakeService();
  clients = [];
  rejected = [];
  process.on("unhandledRejection", note);
  process.on("uncaughtException", note);
});

afterEach(async () => {
  for (const one of clients) one.close();
  await turn();
  mock.reset();
  mock.timers.reset();
  process.off("unhandledRejection", note);
  process.off("uncaughtException", note);
  assert.deepEqual(rejected, []);
});

function client(options = {}) {
  const made = new StreamerClient("ws://service/ws", { WebSocket: service.WebSocket, random: () => 0, ...options });
  clients.push(made);
  return made;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const TIMES = ["openTimeout", "pingInterval", "pingTimeout", "maxReconnectDelay"];

// Options

for (const nothing of [undefined, null]) {
  test(`an option that is ${nothing} means the default`, async () => {
    mock.timers.enable({ apis: ["setTimeout"] });
    const names = [
      ...TIMES, "reconnect", "resend", "clientId", "storage", "storageKey", "token", "onStateChange", "random", "WebSocket",
    ];
    globalThis.WebSocket = service.WebSocket;
    try {
      const made = new StreamerClient("ws://service/ws", Object.fromEntries(names.map((name) => [name, nothing])));
      clients.push(made);
      assert.match(made.clientId, /^[0-9a-f]{32}$/);
      const options = ["id", "metadata", "wait", "signal", "resend", "onProgress", "onAcknowledged"];
      const going = made.request("echo", 1, Object.fromEntries(options.map((name) => [name, nothing])));
      mock.timers.tick(1);
      const first = await service.connection();
      mock.timers.tick(9_000);
      assert.equal(first.closedWith, null);
      const sent = await first.next();
      assert.deepEqual(Object.keys(sent), ["id", "action", "payload"]);
      first.end();
      mock.timers.tick(500);
      const second = await service.connection();
      second.answer(await second.next(), "done");
      assert.equal(await going, "done");
    } finally {
      delete globalThis.WebSocket;
    }
  });
}

for (const name of TIMES) {
  test(`${name} must be a time`, () => {
    for (const odd of [NaN, "5s", true, {}]) assert.throws(() => client({ [name]: odd }), new RegExp(`TypeError: ${name} must be a number`));
    for (const odd of [0, -1, -Infinity]) assert.throws(() => client({ [name]: odd }), new RegExp(`RangeError: ${name} must be above 0`));
  });
}

for (const long of [Infinity, 2 ** 31, 1e300]) {
  test(`no time of ${long} fires at once`, async () => {
    const states = [];
    const options = { ...Object.fromEntries(TIMES.map((name) => [name, long])), random: () => 1 };
    const one = client({ ...options, onStateChange: (state, { delay }) => states.push([state, delay]) });
    const going = one.request("echo");
    const first = await service.arrival();
    await new Promise((resolve) => setTimeout(resolve, 20));
    first.open();
    const sent = await first.next();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok(first.silent);
    assert.equal(first.closedWith, null);
    first.answer(sent, 1);
    assert.equal(await going, 1);
    assert.deepEqual(states.map(([state]) => state), ["waiting", "connecting", "open"]);
  });
}

test("a service that asks to wait for ever is not asked again at once", async () => {
  const going = client().request("echo");
  const first = await service.connection();
  await first.next();
  first.end();
  const second = await service.connection();
  second.fail(await second.next(), "OVERLOADED", { error: { details: { retry_after_ms: 1e12 } } });
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(second.silent);
  going.catch(() => {});
});

test("what is no function, text or number is refused where it is given", async () => {
  assert.throws(() => client({ onStateChange: "log" }), /onStateChange must be a function/);
  assert.throws(() => client({ random: 0.5 }), /random must be a function/);
  assert.throws(() => client({ WebSocket: {} }), /WebSocket must be a function/);
  for (const clientId of ["", "a\nb", "x".repeat(129)]) assert.throws(() => client({ clientId }), /clientId must be a string of 1 to 128/);
  assert.throws(() => new StreamerClient("ws://service/ws?client_id=", { WebSocket: service.WebSocket }), /clientId must be/);
  const one = client();
  for (const [options, wrong] of [
    [{ onProgress: 1 }, /onProgress must be a function/],
    [{ onAcknowledged: {} }, /onAcknowledged must be a function/],
    [{ id: 7 }, /id must be a string/],
    [{ id: "" }, /id must be a string/],
    [{ id: "a\nb" }, /id must be a string/],
    [{ id: "x".repeat(129) }, /id must be a string/],
    [{ wait: NaN }, /wait must be zero or more/],
    [{ wait: -1 }, /wait must be zero or more/],
    [{ wait: Infinity }, /wait must be zero or more/],
    [{ signal: {} }, /signal must be an AbortSignal/],
  ]) {
    assert.throws(() => one.start("echo", null, options), wrong);
    await assert.rejects(one.request("echo", null, options), wrong);
  }
  await assert.rejects(one.resume({ requestId: "old", afterSeq: NaN }), /afterSeq must be a number/);
  assert.equal(service.sockets.length, 0);
});

// The clock

for (const jump of [-3_600_000, 3_600_000]) {
  test(`a clock that is put by ${jump} ms neither hides silence nor makes one up`, async () => {
    const real = Date.now;
    const handle = client({ pingInterval: 200, pingTimeout: 60 }).start("report");
    const first = await service.connection();
    const sent = await first.next();
    first.acknowledge(sent);
    const started = performance.now();
    mock.method(Date, "now", () => real() + jump);
    assert.equal((await first.next()).action, "streamer.ping");
    assert.ok(performance.now() - started > 100);
    const second = await service.connection();
    assert.equal((await second.next()).action, "streamer.resume");
    second.complete(sent, 1, "done");
    assert.equal(await handle.result, "done");
  });
}

// Tokens

test("a token is given without the line break that ends it", async () => {
  for (const token of ["t.o.k\n", () => " t.o.k \r\n", async () => "t.o.k\n"]) {
    client({ token }).start("echo");
    assert.deepEqual((await service.connection()).protocols, ["bearer", "t.o.k"]);
  }
});

const ODD = ["", " \n", "a b", "a\r\nX-Evil: 1", "<html>502 Bad Gateway</html>", "tökén", "a\u0000", 7, {}, true, ["t"]];

test("a token that can be none is refused where it is given, and not shown", async () => {
  for (const token of ODD) {
    assert.throws(() => client({ token }), (error) => error instanceof TypeError && /token/.test(error.message) && !/Evil|Gateway/.test(error.message));
  }
  const one = client();
  for (const token of [undefined, null, ...ODD]) await assert.rejects(one.authenticate(token), TypeError);
  assert.equal(service.sockets.length, 0);
});

for (const [name, once] of [
  ...[undefined, null, ...ODD].map((value) => [`brings ${JSON.stringify(value)}`, () => value]),
  ["brings a promise of nothing", async () => null],
  ["throws", () => { throw new Error("offline"); }],
  ["throws nothing", () => { throw undefined; }],
  ["is rejected", () => Promise.reject(new Error("offline"))],
  ["never comes back", () => new Promise(() => {})],
]) {
  test(`a token function that ${name} once is reported and asked again`, async () => {
    const token = mock.fn(() => "good");
    token.mock.mockImplementationOnce(once);
    const states = [];
    const one = client({ token, openTimeout: 20, onStateChange: (state, detail) => states.push([state, detail]) });
    const going = one.request("echo");
    const socket = await service.connection();
    assert.deepEqual(socket.protocols, ["bearer", "good"]);
    socket.answer(await socket.next(), 1);
    assert.equal(await going, 1);
    assert.deepEqual(states.map(([state]) => state), ["waiting", "connecting", "waiting", "connecting", "open"]);
    assert.match(states[2][1].reason, /token/);
    assert.equal(states[2][1].tries, 2);
  });
}

test("a token from a function that the WebSocket itself does not take is reported and another one asked for", async () => {
  const reasons = [];
  class Strict extends service.WebSocket {
    constructor(url, protocols) {
      if (new Set(protocols).size < protocols.length) throw new SyntaxError("a subprotocol is doubled");
      super(url, protocols);
    }
  }
  const tokens = ["bearer", "good"];
  const one = client({ WebSocket: Strict, token: () => tokens.shift(), onStateChange: (_, { reason }) => reasons.push(reason) });
  const going = one.request("echo");
  const socket = await service.connection();
  socket.answer(await socket.next(), 1);
  assert.equal(await going, 1);
  assert.ok(reasons.includes("it cannot be opened: a subprotocol is doubled"));
});

test("connect says at once what is wrong with the token", async () => {
  await assert.rejects(client({ token: () => null }).connect(), /the token function failed: a token must be a string; it is null/);
  const never = client({ token: () => new Promise(() => {}), openTimeout: 5 });
  await assert.rejects(never.connect(), /the token function did not return within 5 ms/);
  assert.equal(never.state, "idle");
});

test("a token that has run out by this clock, but was taken, is not renewed again and again", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1e12 });
  const token = mock.fn(() => `e30.${Buffer.from(JSON.stringify({ exp: 1 })).toString("base64url")}.c2ln`);
  client({ token, pingInterval: 1e8 }).connect();
  await turn();
  const socket = await service.connection();
  mock.timers.tick(59_000);
  await turn();
  assert.equal(token.mock.callCount(), 1);
  mock.timers.tick(1_000);
  await turn();
  assert.equal((await socket.next()).action, "streamer.authenticate");
});

// Messages that are too large

function tooLarge(socket) {
  const error = Object.assign(new RangeError("Max payload size exceeded"), { code: "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH" });
  socket.dispatchEvent(Object.assign(new Event("error"), { error, message: error.message }));
  socket.end(1006);
}

test("an answer that the socket does not take ends its request, and the next one goes on", async () => {
  const one = client();
  const going = one.request("big", null, { id: "big" });
  const first = await service.connection();
  await first.next();
  tooLarge(first);
  await assert.rejects(going, (error) => {
    assert.ok(error instanceof MessageTooLarge);
    assert.deepEqual([error.name, error.code, error.requestId], ["MessageTooLarge", "MESSAGE_TOO_LARGE", "big"]);
    return /raise its maxPayload/.test(error.message);
  });
  assert.equal(one.state, "idle");
  const small = one.request("small");
  const second = await service.connection();
  second.answer(await second.next(), 1);
  assert.equal(await small, 1);
});

test("among several requests the one whose answer is too large is found, and the others go on", async () => {
  const one = client();
  const names = ["a", "b", "big", "c"];
  const going = names.map((id) => one.request("do", null, { id }));
  const ended = Promise.allSettled(going);
  const runs = {};
  const first = await service.connection();
  for (const _ of names) await first.next();
  tooLarge(first);
  for (let connection = 0; connection < 2; connection += 1) {
    const socket = await service.connection();
    for (let left = true; left; ) {
      const sent = await socket.next();
      runs[sent.id] = (runs[sent.id] ?? 0) + 1;
      if (connection === 0 && sent.id === "a") {
        await turn();
        assert.ok(socket.silent, "the others wait for the answer");
        assert.equal(one.start("do", null, { id: "new" }).done, false);
        assert.ok(socket.silent);
      }
      if (sent.id === "big") tooLarge(socket);
      else socket.answer(sent, sent.id);
      left = sent.id !== "big" && sent.id !== "new";
    }
  }
  const outcomes = await ended;
  assert.deepEqual(outcomes.map(({ status }) => status), ["fulfilled", "fulfilled", "rejected", "fulfilled"]);
  assert.ok(outcomes[2].reason instanceof MessageTooLarge);
  assert.deepEqual(runs, { a: 1, b: 1, big: 1, c: 1, new: 1 });
});

test("a queued request whose result is too large is found among others when it is resumed", async () => {
  const one = client();
  const handles = ["a", "big", "c"].map((id) => one.start("report", null, { id }));
  const ended = Promise.allSettled(handles.map(({ result }) => result));
  const first = await service.connection();
  for (const handle of handles) first.acknowledge(handle);
  tooLarge(first);
  for (let connection = 0; connection < 3 && !handles.every(({ done }) => done); connection += 1) {
    const socket = await service.connection();
    for (;;) {
      const asked = await socket.next();
      assert.equal(asked.action, "streamer.resume");
      const id = asked.payload.request_id;
      if (id === "big") {
        tooLarge(socket);
        break;
      }
      socket.progress({ id }, 10, 50);
      socket.answer(asked, { requests: [id] });
      if (id !== "c") continue;
      for (const other of ["a", "c"]) socket.complete({ id: other }, 11, other);
      break;
    }
  }
  const outcomes = await ended;
  assert.deepEqual(outcomes.map(({ value }) => value), ["a", undefined, "c"]);
  assert.ok(outcomes[1].reason instanceof MessageTooLarge);
});

test("what goes on beside many answers that are too large is never taken for the cause", async () => {
  const one = client();
  const long = one.start("report", null, { id: "long" });
  let socket = await service.connection();
  await socket.next();
  socket.acknowledge(long);
  for (let n = 0; n < 12; n += 1) {
    const big = assert.rejects(one.request("do", null, { id: `big${n}` }), MessageTooLarge);
    for (let sends = 0; sends < 2; sends += 1) {
      assert.equal((await socket.next()).id, `big${n}`);
      await turn();
      assert.ok(socket.silent);
      tooLarge(socket);
      socket = await service.connection();
    }
    await big;
    const asked = await socket.next();
    assert.equal(asked.payload.request_id, "long");
    socket.answer(asked, { requests: ["long"] });
  }
  socket.complete(long, 5, "its result");
  assert.equal(await long.result, "its result");
});

test("the request that the service does not take for its size is the largest, and the others are sent again", async () => {
  const one = client();
  const small = one.request("do", "x");
  const large = one.request("do", "x".repeat(1000), { id: "large" });
  const first = await service.connection();
  await first.next();
  first.end(1009, "message too large");
  await assert.rejects(large, (error) => error instanceof MessageTooLarge && /server.max_message_size/.test(error.message) && error.requestId === "large");
  const second = await service.connection();
  second.answer(await second.next(), 1);
  assert.equal(await small, 1);
});

test("without reconnecting too, only the one request is called too large", async () => {
  const going = client({ reconnect: false }).request("do");
  const socket = await service.connection();
  await socket.next();
  tooLarge(socket);
  await assert.rejects(going, MessageTooLarge);
});

// Requests that end their connections

test("a request for which three connections end is given up, and says what is known", async () => {
  const one = client();
  const going = one.request("kill", null, { id: "deadly" });
  const ending = assert.rejects(going, (error) => {
    assert.ok(error instanceof NotAnswered);
    assert.ok(error instanceof ConnectionLost);
    assert.deepEqual([error.code, error.times, error.retryable, error.requestId], ["NOT_ANSWERED", 3, false, "deadly"]);
    return /sent 3 times .* may have run it each time/.test(error.message);
  });
  for (let run = 0; run < 3; run += 1) {
    const socket = await service.connection();
    await socket.next();
    socket.end();
    const failed = run < 2 && (await service.arrival()); // restarting: this does not count
    if (failed) failed.end();
  }
  await ending;
  assert.equal(one.state, "idle");
  const after = one.request("echo");
  const socket = await service.connection();
  socket.answer(await socket.next(), 1);
  assert.equal(await after, 1);
});

test("others that share the connections of a deadly request are answered", async () => {
  const one = client();
  const names = ["a", "deadly", "b"];
  const ended = Promise.allSettled(names.map((id) => one.request("do", null, { id })));
  let kills = 0;
  for (let connection = 0; connection < 4; connection += 1) {
    const socket = await service.connection();
    for (;;) {
      const sent = await socket.next();
      if (connection < 2) {
        // It dies before it answers anybody.
        if (sent.id !== "b") continue;
      } else if (sent.id !== "deadly") {
        socket.answer(sent, sent.id);
        if (sent.id === "b") break;
        continue;
      }
      kills += 1;
      socket.end();
      break;
    }
  }
  const outcomes = await ended;
  assert.deepEqual(outcomes.map(({ value }) => value), ["a", undefined, "b"]);
  assert.ok(outcomes[1].reason instanceof NotAnswered);
  assert.equal(kills, 3);
});

test("a request that is not answered keeps the others waiting for a while only", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const one = client({ pingInterval: 1e8, openTimeout: 1e8 });
  one.start("slow", null, { id: "slow" });
  for (let run = 0; run < 2; run += 1) {
    mock.timers.tick(0);
    const socket = await service.connection();
    await socket.next();
    socket.end();
  }
  mock.timers.tick(0);
  const socket = await service.connection();
  await socket.next();
  const other = one.request("echo");
  await turn();
  assert.ok(socket.silent);
  mock.timers.tick(10_000);
  socket.answer(await socket.next(), 1);
  assert.equal(await other, 1);
});

for (const code of [3001, 1012, 1013]) {
  test(`a service that ends connections with ${code} of its own accord is asked for longer`, async () => {
    const going = client({ maxReconnectDelay: 5 }).request("do");
    for (let run = 0; run < 5; run += 1) {
      const socket = await service.connection();
      await socket.next();
      socket.end(code);
    }
    const last = await service.connection();
    last.answer(await last.next(), 1);
    assert.equal(await going, 1);
  });
}

test("a stored request that is asked after ten times without an answer is given up", async () => {
  const handle = client({ maxReconnectDelay: 2 }).start("report");
  const first = await service.connection();
  first.acknowledge(await first.next());
  first.end();
  for (let run = 0; run < 10; run += 1) {
    const socket = await service.connection();
    assert.equal((await socket.next()).action, "streamer.resume");
    socket.end(3008, "slow consumer");
  }
  await assert.rejects(handle.result, (error) => error instanceof NotAnswered && error.stored && /is queued and continues/.test(error.message));
});

// Closing

test("closing in every phase ends what waits, and nothing is left to do", async () => {
  const phases = {
    idle: () => {},
    waiting: (one) => void one.start("echo"),
    token: async (one) => {
      one.start("echo");
      await new Promise((resolve) => setTimeout(resolve, 5));
    },
    connecting: async (one) => {
      one.start("echo");
      await service.arrival();
    },
    open: async (one) => {
      one.start("echo");
      await (await service.connection()).next();
    },
  };
  for (const [phase, reach] of Object.entries(phases)) {
    const states = [];
    const token = phase === "token" ? () => new Promise(() => {}) : undefined;
    const one = client({ token, onStateChange: (state) => states.push(state) });
    await reach(one);
    one.close();
    one.close();
    await turn();
    assert.deepEqual(states.filter((state) => state === "closed"), ["closed"], phase);
    await assert.rejects(one.request("echo"), { code: "CONNECTION_LOST", closeCode: 1000 });
    await assert.rejects(one.resume({ requestId: "x" }), { code: "CONNECTION_LOST" });
  }
});
