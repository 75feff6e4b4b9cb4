/** What the JavaScript client promises, against a service of which the test says every word. */

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { afterEach, beforeEach, mock, test } from "node:test";

import { fakeService } from "./fake_service.mjs";

// Or the modules that it is made of.
const { ConnectionLost, StreamerClient, StreamerError } = await import(
  process.env.STREAMER_JS ?? "../../../streamer/client/js/streamer.js"
);

let service;
let clients;

beforeEach(() => {
  service = fakeService();
  clients = [];
});

afterEach(() => {
  for (const one of clients) one.close();
  mock.reset();
  mock.timers.reset();
});

function client(options = {}, url = "ws://service/ws") {
  const made = new StreamerClient(url, { WebSocket: service.WebSocket, random: () => 0, ...options });
  clients.push(made);
  return made;
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function collected(handle) {
  const seen = [];
  for await (const progress of handle) seen.push(progress.percentage);
  return seen;
}

// Addresses, secrets and tokens

test("the client's id is a secret of its own unless it is given", () => {
  assert.match(client().clientId, /^[0-9a-f]{32}$/);
  assert.notEqual(client().clientId, client().clientId);
  assert.equal(client({ clientId: "mine" }).clientId, "mine");
  assert.equal(client({}, "ws://service/ws?client_id=theirs").clientId, "theirs");
});

test("the address may be written for http, and is shown without its secrets", async () => {
  const one = client({ clientId: "ü &" }, "https://service:8443/ws?a=1#top");
  assert.equal(one.url, "wss://service:8443/ws");
  one.start("echo");
  const socket = await service.connection();
  assert.equal(socket.url.searchParams.get("client_id"), "ü &");
  assert.equal(socket.url.searchParams.get("a"), "1");
  assert.equal(socket.url.hash, "");
});

test("an address in a page may be relative to it", () => {
  globalThis.location = { href: "https://pages.example/app/index.html" };
  try {
    assert.equal(client({}, "/ws").url, "wss://pages.example/ws");
  } finally {
    delete globalThis.location;
  }
});

test("a storage keeps the client's id for the next page", () => {
  const kept = new Map();
  const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value) };
  const first = client({ storage }).clientId;
  assert.equal(client({ storage }).clientId, first);
  assert.notEqual(client({ storage, storageKey: "another" }).clientId, first);
});

test("where there is no WebSocket the error says how to bring one", () => {
  const { WebSocket } = globalThis;
  globalThis.WebSocket = undefined;
  try {
    assert.throws(() => new StreamerClient("ws://service/ws"), /package ws/);
  } finally {
    globalThis.WebSocket = WebSocket;
  }
});

test("a token goes by the subprotocol, and without one none is offered", async () => {
  client({ token: "t.o.k" }).start("echo");
  assert.deepEqual((await service.connection()).protocols, ["bearer", "t.o.k"]);
  client().start("echo");
  assert.deepEqual((await service.connection()).protocols, []);
});

test("a token callback is asked before every connection", async () => {
  let count = 0;
  const going = client({ token: async () => `token-${(count += 1)}` }).request("echo");
  (await service.connection()).end();
  const second = await service.connection();
  assert.deepEqual(second.protocols, ["bearer", "token-2"]);
  second.answer(await second.next(), "done");
  assert.equal(await going, "done");
});

test("a token callback that fails is asked again", async () => {
  const token = mock.fn(() => "good");
  token.mock.mockImplementationOnce(() => Promise.reject(new Error("offline")));
  const going = client({ token }).request("echo");
  const socket = await service.connection();
  socket.answer(await socket.next(), 1);
  assert.equal(await going, 1);
  assert.equal(token.mock.callCount(), 2);
});

test("a socket that cannot be made ends the waiting with its cause", async () => {
  const WebSocket = class {
    constructor() {
      throw new SyntaxError("not from this page");
    }
  };
  await assert.rejects(client({ WebSocket }).request("echo"), (error) => {
    return error instanceof ConnectionLost && error.cause instanceof SyntaxError;
  });
  const one = client({ WebSocket });
  await assert.rejects(one.connect(), /it cannot be opened: not from this page/);
  assert.equal(one.state, "closed");
  await assert.rejects(one.request("echo"), /it cannot be opened/);
});

test("without reconnecting the request after a failed try makes another one", async () => {
  const one = client({ reconnect: false });
  const failing = assert.rejects(one.connect(), { closeCode: 1006 });
  (await service.arrival()).end();
  await failing;
  assert.equal(one.state, "closed");
  const going = one.request("echo");
  const socket = await service.connection();
  socket.answer(await socket.next(), 1);
  assert.equal(await going, 1);
});

test("a fresh token is given on the open connection and used for the next", async () => {
  const one = client({ token: "old" });
  const answered = one.authenticate("new");
  const socket = await service.connection();
  const asked = await socket.next();
  assert.deepEqual([asked.action, asked.payload], ["streamer.authenticate", { token: "new" }]);
  socket.answer(asked, { expires_in: 60 });
  assert.deepEqual(await answered, { expires_in: 60 });
  one.start("echo");
  socket.end();
  assert.deepEqual((await service.connection()).protocols, ["bearer", "new"]);
});

// One connection

test("a direct request is answered with its data", async () => {
  const going = client().request("echo", { n: 1 }, { id: "mine", metadata: { k: "v" }, wait: "2s" });
  const socket = await service.connection();
  const sent = await socket.next();
  assert.deepEqual(sent, { id: "mine", action: "echo", payload: { n: 1 }, metadata: { k: "v" }, wait: "2s" });
  socket.answer(sent, { echo: 1 });
  assert.deepEqual(await going, { echo: 1 });
});

test("what is left out is not sent", async () => {
  client().start("echo");
  const sent = await (await service.connection()).next();
  assert.deepEqual(Object.keys(sent), ["id", "action"]);
  assert.match(sent.id, /^req_[0-9a-f]{32}$/);
});

test("a queued request is acknowledged, shows its progress in order and ends with its result", async () => {
  const acknowledged = [];
  const heard = [];
  const handle = client().start("report", null, {
    onAcknowledged: (id) => acknowledged.push(id),
    onProgress: ({ percentage, seq, requestId, metadata }) => heard.push([requestId, seq, percentage, metadata]),
  });
  const socket = await service.connection();
  const sent = await socket.next();
  socket.acknowledge(sent);
  assert.equal(await handle.acknowledged, true);
  const seen = collected(handle);
  socket.progress(sent, 1, 10);
  socket.progress(sent, 3, 30);
  socket.progress(sent, 3, 30);
  socket.progress(sent, 2, 20);
  await turn();
  socket.progress(sent, 4, 100);
  assert.equal(handle.done, false);
  socket.say({ type: "complete", request_id: sent.id, seq: 5, success: true, result: "done", metadata: { m: "1" } });
  assert.equal(await handle.result, "done");
  assert.equal(handle.done, true);
  assert.deepEqual(handle.metadata, { m: "1" });
  assert.deepEqual(await seen, [10, 30, 100]);
  assert.deepEqual(acknowledged, [sent.id]);
  assert.deepEqual(heard, [[sent.id, 1, 10, null], [sent.id, 3, 30, null], [sent.id, 4, 100, null]]);
});

test("a message in parts is put together, whatever comes between, in another order and twice", async () => {
  const long = client().start("report");
  const socket = await service.connection();
  const sent = await socket.next();
  const whole = JSON.stringify({ type: "response", request_id: sent.id, success: true, data: 'ü"€'.repeat(1000) });
  const part = (index, of = "one") => ({
    type: "part", part_of: of, request_id: sent.id, index, count: 3,
    data: whole.slice(index * 1000, index === 2 ? undefined : (index + 1) * 1000),
  });
  socket.say(part(1));
  socket.say(part(1));
  socket.say(part(0, "another, cut off"));
  socket.progress(sent, 1, 10);
  socket.say(part(2));
  await turn();
  assert.equal(long.done, false);
  socket.say(part(0));
  assert.equal(await long.result, 'ü"€'.repeat(1000));
});

test("whoever iterates hears of each report as it comes, and of the end", async () => {
  const handle = client().start("report");
  const socket = await service.connection();
  const sent = await socket.next();
  const reports = handle[Symbol.asyncIterator]();
  const first = reports.next();
  await turn();
  socket.progress(sent, 1, 10);
  assert.equal((await first).value.percentage, 10);
  const second = reports.next();
  await turn();
  socket.complete(sent, 2, "done");
  assert.equal((await second).done, true);
});

test("of progress that nobody reads the newest thousand are kept", async () => {
  const handle = client().start("report");
  const socket = await service.connection();
  const sent = await socket.next();
  for (let seq = 0; seq < 1500; seq += 1) socket.progress(sent, seq, seq);
  socket.complete(sent, 1500, null);
  const seen = await collected(handle);
  assert.deepEqual([seen.length, seen[0], seen.at(-1)], [1000, 500, 1499]);
});

test("an error carries code, message, details, whether a retry helps, and the request", async () => {
  const going = client().request("echo", {}, { id: "mine" });
  const socket = await service.connection();
  const details = { errors: [{ path: "/n", message: "is missing" }] };
  socket.fail(await socket.next(), "VALIDATION_ERROR", { error: { details, retryable: true } });
  await assert.rejects(going, (error) => {
    assert.ok(error instanceof StreamerError);
    assert.deepEqual(
      [error.name, error.code, error.message, error.retryable, error.details, error.requestId],
      ["StreamerError", "VALIDATION_ERROR", "no", true, details, "mine"],
    );
    return true;
  });
});

test("a result that says it failed is an error with the data beside it", async () => {
  const going = client().request("pay");
  const socket = await service.connection();
  const { id } = await socket.next();
  const error = { code: "DECLINED", message: "no money" };
  socket.say({ type: "response", request_id: id, success: false, data: { attempt: 1 }, error });
  await assert.rejects(going, { code: "DECLINED", data: { attempt: 1 }, details: {}, retryable: false });
});

test("an error that says nothing is an INTERNAL_ERROR", async () => {
  const going = client().request("pay");
  const socket = await service.connection();
  const { id } = await socket.next();
  socket.say({ type: "complete", request_id: id, seq: 1, success: false });
  await assert.rejects(going, { code: "INTERNAL_ERROR" });
});

test("a function that failed in nobody knows which request is asked again over another connection", async () => {
  const one = client();
  const going = [one.request("echo", 1), one.request("echo", 2)];
  const first = await service.connection();
  await first.next();
  await first.next();
  first.say({ message: "Internal server error", connectionId: "x", requestId: "y" });
  const second = await service.connection();
  for (const sent of [await second.next(), await second.next()]) {
    second.say({ type: "response", request_id: sent.id, success: true, data: sent.payload });
  }
  assert.deepEqual(await Promise.all(going), [1, 2]);
});

test("a request that its function always fails of fails in the end", async () => {
  const going = client({ maxReconnectDelay: 5 }).request("echo");
  const failing = assert.rejects(going, { code: "INTERNAL_ERROR", message: "Internal server error, 10 times in a row" });
  for (let tries = 0; tries < 10; tries += 1) {
    const socket = await service.connection();
    await socket.next();
    socket.say({ message: "Internal server error", connectionId: "x", requestId: "y" });
  }
  await failing;
});

test("a function that fails while a queued request is asked after does not end that request", async () => {
  const handle = client().start("report");
  const first = await service.connection();
  first.acknowledge(await first.next());
  first.end();
  const second = await service.connection();
  assert.equal((await second.next()).action, "streamer.resume");
  second.say({ message: "Internal server error", connectionId: "x", requestId: "y" });
  const third = await service.connection();
  assert.equal((await third.next()).action, "streamer.resume");
  third.complete(handle, 5, "done");
  assert.equal(await handle.result, "done");
});

test("an error without a name is for the only one that waits for its first answer", async () => {
  const one = client({ resend: false });
  const queued = one.start("report");
  const socket = await service.connection();
  socket.acknowledge(await socket.next());
  const going = one.request("echo");
  await socket.next();
  socket.say({ message: "Internal server error", connectionId: "x" });
  await assert.rejects(going, { code: "INTERNAL_ERROR", message: "Internal server error" });
  assert.equal(queued.done, false);
});

test("an error without a name is for nobody when several wait", async () => {
  const one = client();
  const handles = [one.start("a"), one.start("b")];
  const socket = await service.connection();
  socket.say({ type: "error", error: { code: "VALIDATION_ERROR", message: "what?" } });
  assert.deepEqual(handles.map((handle) => handle.done), [false, false]);
});

test("what the client does not understand does no harm", async () => {
  const going = client().request("echo");
  const socket = await service.connection();
  const sent = await socket.next();
  for (const text of ["{", "[]", "null", "5", '{"type": "news"}', '{"type": "response", "request_id": "other"}']) socket.say(text);
  socket.say({ type: "news", request_id: sent.id });
  socket.answer(sent, "fine");
  assert.equal(await going, "fine");
});

test("the same id cannot wait twice", async () => {
  const one = client();
  one.start("echo", null, { id: "mine" });
  await assert.rejects(one.request("echo", null, { id: "mine" }), /mine waits on this client already/);
});

test("a callback that throws breaks neither the request nor the connection", async () => {
  const thrown = [];
  mock.method(globalThis, "queueMicrotask", (act) => {
    try {
      act();
    } catch (error) {
      thrown.push(error.message);
    }
  });
  const going = client().request("report", null, {
    onProgress: () => {
      throw new Error("of the page");
    },
  });
  const socket = await service.connection();
  const sent = await socket.next();
  socket.progress(sent, 1, 10);
  socket.complete(sent, 2, "done");
  assert.equal(await going, "done");
  assert.deepEqual(thrown, ["of the page"]);
});

// Breaks

test("what was acknowledged is resumed after the last message that came, and nothing comes twice", async () => {
  const handle = client().start("report");
  const seen = collected(handle);
  const first = await service.connection();
  const sent = await first.next();
  first.acknowledge(sent);
  first.progress(sent, 3, 30);
  first.end(3001, "shutting down");
  const second = await service.connection();
  assert.equal(second.url.href, first.url.href);
  const resume = await second.next();
  assert.deepEqual([resume.action, resume.payload], ["streamer.resume", { request_id: sent.id, after_seq: 3 }]);
  second.progress(sent, 3, 30);
  second.progress(sent, 4, 40);
  second.answer(resume, { requests: [sent.id] });
  first.progress(sent, 9, 90);
  second.complete(sent, 5, "done");
  second.complete(sent, 6, "again");
  assert.equal(await handle.result, "done");
  assert.deepEqual(await seen, [30, 40]);
  assert.ok(second.silent);
});

test("what was not answered is sent again word for word, in order", async () => {
  const one = client();
  const handles = [one.start("a", 1), one.start("b", 2)];
  const first = await service.connection();
  const sent = [await first.next(), await first.next()];
  first.end();
  const second = await service.connection();
  assert.deepEqual([await second.next(), await second.next()], sent);
  for (const message of sent) second.answer(message, message.payload);
  assert.deepEqual(await Promise.all(handles.map((handle) => handle.result)), [1, 2]);
});

for (const where of ["client", "request"]) {
  test(`what must not be sent twice is lost: said by the ${where}`, async () => {
    const one = client(where === "client" ? { resend: false } : {});
    const going = one.request("pay", null, where === "request" ? { resend: false } : {});
    const first = await service.connection();
    await first.next();
    const later = one.start("pay", 2);
    first.acknowledge({ id: later.id });
    first.end();
    await assert.rejects(going, { code: "CONNECTION_LOST", closeCode: 1006, retryable: true });
    const second = await service.connection();
    assert.equal((await second.next()).action, "streamer.resume");
  });
}

test("what was never sent is no resending", async () => {
  const going = client({ resend: false }).request("pay");
  (await service.arrival()).end();
  const socket = await service.connection();
  socket.answer(await socket.next(), "paid");
  assert.equal(await going, "paid");
});

test("a resent request that the busy service refuses is sent once more, as late as it says", async () => {
  const going = client().request("report");
  const first = await service.connection();
  await first.next();
  first.end();
  const second = await service.connection();
  second.fail(await second.next(), "RATE_LIMITED", { error: { details: { retry_after_ms: 1 } } });
  second.answer(await second.next(), "done");
  assert.equal(await going, "done");
});

test("what a service refuses because it is going down is sent on the next connection", async () => {
  const reconnect = { error: { details: { reconnect: true, retry_after_ms: 1 } } };
  const one = client();
  const going = one.request("report");
  const once = one.request("pay", null, { resend: false });
  const first = await service.connection();
  const sent = await first.next();
  first.fail(sent, "OVERLOADED", reconnect);
  first.fail(await first.next(), "OVERLOADED", reconnect);
  await assert.rejects(once, { code: "OVERLOADED" });
  await turn();
  assert.ok(first.silent);
  first.end(3001);
  const second = await service.connection();
  assert.deepEqual(await second.next(), sent);
  second.answer(sent, "done");
  assert.equal(await going, "done");
  const never = client({ reconnect: false }).request("report");
  const third = await service.connection();
  third.fail(await third.next(), "OVERLOADED", reconnect);
  await assert.rejects(never, { code: "OVERLOADED" });
});

test("a first request that the busy service refuses fails at once", async () => {
  const going = client().request("report");
  const socket = await service.connection();
  socket.fail(await socket.next(), "OVERLOADED", { error: { retryable: true } });
  await assert.rejects(going, { code: "OVERLOADED", retryable: true });
});

test("a resumption that comes too fast is asked for again, unless the connection is another", async () => {
  const handle = client().start("report");
  const first = await service.connection();
  const sent = await first.next();
  first.acknowledge(sent);
  first.end();
  const second = await service.connection();
  second.fail(await second.next(), "OVERLOADED", { error: { details: { retry_after_ms: 1 } } });
  const again = await second.next();
  assert.equal(again.action, "streamer.resume");
  second.fail(again, "OVERLOADED", { error: { details: { retry_after_ms: 5 } } });
  second.end();
  const third = await service.connection();
  const asked = await third.next();
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.ok(third.silent);
  third.answer(asked, { requests: [sent.id] });
  third.complete(sent, 1, "done");
  assert.equal(await handle.result, "done");
});

test("a request that the service no longer knows fails under its own name", async () => {
  const going = client().request("report", null, { id: "mine" });
  const first = await service.connection();
  first.acknowledge(await first.next());
  first.end();
  const second = await service.connection();
  second.fail(await second.next(), "NOT_FOUND");
  await assert.rejects(going, { code: "NOT_FOUND", requestId: "mine" });
});

for (const code of [1003, 1007, 1008, 3500, 3501, 3999]) {
  test(`the close code ${code} ends the trying and the waiting`, async () => {
    const one = client();
    const going = one.request("echo");
    (await service.connection()).end(code, "no");
    await assert.rejects(going, { closeCode: code, reason: "no", retryable: false });
    assert.equal(one.state, "closed");
    await assert.rejects(one.request("echo"), { closeCode: code });
    assert.equal(service.sockets.length, 1);
    const connected = one.connect();
    service.sockets[1].open();
    await connected;
    assert.equal(one.state, "open");
    const again = one.request("echo");
    service.sockets[1].answer(await service.sockets[1].next(), 1);
    assert.equal(await again, 1);
  });
}

for (const code of [1000, 1001, 1006, 1011, 1013, 3001, 3499, 4000]) {
  test(`the close code ${code} is survived`, async () => {
    const going = client().request("echo");
    (await service.connection()).end(code);
    const second = await service.connection();
    second.answer(await second.next(), 1);
    assert.equal(await going, 1);
  });
}

test("a resumption that a break has overtaken is asked for once more, from where it is by then", async () => {
  const handle = client().start("report");
  const first = await service.connection();
  first.acknowledge(await first.next());
  first.end();
  const second = await service.connection();
  assert.equal((await second.next()).payload.after_seq, 0);
  second.progress(handle, 4, 40);
  second.end();
  const third = await service.connection();
  assert.equal((await third.next()).payload.after_seq, 4);
  assert.ok(third.silent);
  third.complete(handle, 5, "done");
  assert.equal(await handle.result, "done");
});

test("an expired token is worth one connection with a fresh one, and no more if that is refused too", async () => {
  let count = 0;
  const going = client({ token: () => `token-${(count += 1)}` }).request("echo");
  (await service.connection()).end(3500, "expired");
  const second = await service.connection();
  assert.deepEqual(second.protocols, ["bearer", "token-2"]);
  second.end(3500, "expired");
  await assert.rejects(going, { closeCode: 3500 });
});

test("a token that was good for a while may be followed by another, time and again", async () => {
  const one = client({ token: () => "token" });
  const handle = one.start("report");
  for (let round = 0; round < 3; round += 1) {
    const socket = await service.connection();
    socket.acknowledge(handle);
    socket.end(3500, "expired");
  }
  const last = await service.connection();
  last.complete(handle, 1, "done");
  assert.equal(await handle.result, "done");
});

const jwt = (claims) => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;

test("a token that runs out is renewed before, on the standing connection, time and again", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 0 });
  const tokens = [jwt({ exp: 100 }), jwt({ exp: 1000, name: "??>>" }), jwt({ exp: 5000 })];
  const one = client({ token: () => tokens.shift(), pingInterval: 10_000_000 });
  one.connect();
  await turn();
  mock.timers.tick(0);
  const socket = await service.connection();
  await turn();
  for (const [after, exp] of [[80_000, 1000], [736_000, 5000]]) {
    mock.timers.tick(after - 1);
    await turn();
    mock.timers.tick(1);
    const asked = await socket.next();
    assert.equal(asked.action, "streamer.authenticate");
    assert.equal(JSON.parse(Buffer.from(asked.payload.token.split(".")[1], "base64url")).exp, exp);
    socket.say({ type: "response", request_id: asked.id, success: true, data: {} });
    await turn();
  }
});

test("a renewal that fails leaves the connection as it is", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 0 });
  const tokens = [() => jwt({ exp: 100 }), () => { throw new Error("offline"); }];
  const one = client({ token: () => tokens.shift()(), pingInterval: 10_000_000 });
  one.connect();
  await turn();
  await service.connection();
  await turn();
  mock.timers.tick(80_000);
  await turn();
  assert.equal(one.state, "open");
  assert.equal(tokens.length, 0);
});

test("a renewal that a break has overtaken says nothing", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 0 });
  let bring;
  const tokens = [() => jwt({ exp: 100 }), () => new Promise((resolve) => (bring = resolve))];
  const one = client({ token: () => tokens.shift()(), pingInterval: 10_000_000 });
  one.connect();
  await turn();
  const socket = await service.connection();
  await turn();
  mock.timers.tick(80_000);
  await turn();
  one.close();
  bring(jwt({ exp: 1000 }));
  await turn();
  assert.ok(socket.silent);
});

test("without reconnecting the first break ends all waiting", async () => {
  const one = client({ reconnect: false });
  const going = one.request("report", null, { id: "mine" });
  const socket = await service.connection();
  socket.acknowledge(await socket.next());
  socket.end(1001);
  await assert.rejects(going, { closeCode: 1001, requestId: "mine", message: /if request mine was queued, it continues/ });
});

test("delays grow to the longest, under full jitter, and only a connection that lasted starts anew", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.UTC(2026) });
  mock.method(performance, "now", () => Date.now() - Date.UTC(2026));
  const delays = [];
  const onStateChange = (state, { delay }) => state === "waiting" && delays.push(delay);
  client({ random: () => 0.5, maxReconnectDelay: 3000, onStateChange }).start("report");
  for (let attempt = 0; attempt < 6; attempt += 1) {
    await turn();
    mock.timers.tick(delays.at(-1));
    const socket = await service.arrival();
    if (attempt === 1) socket.open();
    socket.end();
  }
  await turn();
  mock.timers.tick(delays.at(-1));
  const lasting = await service.connection();
  mock.timers.tick(3000);
  lasting.end();
  await turn();
  assert.deepEqual(delays, [0, 250, 500, 1000, 1500, 1500, 1500, 0]);
});

test("a connection on which nothing waits is opened again only when something does", async () => {
  const states = [];
  const one = client({ onStateChange: (state) => states.push(state) });
  const going = one.request("echo", 1);
  const first = await service.connection();
  first.answer(await first.next(), 1);
  await going;
  first.end(3001);
  await turn();
  assert.equal(one.state, "idle");
  const again = one.request("echo", 2);
  const second = await service.connection();
  second.answer(await second.next(), 2);
  assert.equal(await again, 2);
  assert.deepEqual(states, ["waiting", "connecting", "open", "idle", "waiting", "connecting", "open"]);
});

test("a handshake that is not answered in time is given up and tried again", async () => {
  const states = [];
  const going = client({ openTimeout: 5, onStateChange: (state) => states.push(state) }).request("echo");
  const first = await service.arrival();
  const second = await service.connection();
  assert.equal(first.closedWith, 1005);
  second.answer(await second.next(), 1);
  assert.equal(await going, 1);
  assert.deepEqual(states, ["waiting", "connecting", "waiting", "connecting", "open"]);
});

test("an implementation that only tells of an error is believed", async () => {
  const going = client().request("echo");
  (await service.arrival()).error();
  const second = await service.connection();
  second.error();
  second.answer(await second.next(), 1);
  assert.equal(await going, 1);
});

test("silence is tested by a ping, and a service that does not answer is left", async () => {
  const handle = client({ pingInterval: 5, pingTimeout: 5 }).start("report");
  const first = await service.connection();
  const sent = await first.next();
  first.acknowledge(sent);
  const ping = await first.next();
  assert.equal(ping.action, "streamer.ping");
  first.answer(ping, { pong: true });
  assert.equal((await first.next()).action, "streamer.ping");
  const second = await service.connection();
  assert.equal(first.closedWith, 1005);
  assert.equal((await second.next()).action, "streamer.resume");
  second.complete(sent, 1, "done");
  assert.equal(await handle.result, "done");
});

test("a ping has twice the time on the next connection, where a large message may be long in coming", async () => {
  const handle = client({ pingInterval: 5, pingTimeout: 400 }).start("report");
  const first = await service.connection();
  const sent = await first.next();
  first.acknowledge(sent);
  assert.equal((await first.next()).action, "streamer.ping");
  const second = await service.connection();
  assert.equal((await second.next()).action, "streamer.resume");
  assert.equal((await second.next()).action, "streamer.ping");
  await new Promise((resolve) => setTimeout(resolve, 500));
  assert.equal(second.closedWith, null);
  second.complete(sent, 1, "done");
  assert.equal(await handle.result, "done");
});

test("nothing is pinged while nothing waits", async () => {
  const one = client({ pingInterval: 5, pingTimeout: 5 });
  const connected = one.connect();
  const socket = await service.connection();
  await connected;
  await new Promise((resolve) => setTimeout(resolve, 30));
  assert.ok(socket.silent);
  one.start("report");
  await socket.next();
  assert.equal((await socket.next()).action, "streamer.ping");
});

test("when the network is back it is tried at once, and an open connection is tested", async () => {
  const listeners = new EventTarget();
  globalThis.addEventListener = listeners.addEventListener.bind(listeners);
  globalThis.removeEventListener = listeners.removeEventListener.bind(listeners);
  try {
    const one = client({ random: () => 1, maxReconnectDelay: 3_600_000 });
    const going = one.request("echo");
    for (let attempt = 0; attempt < 3; attempt += 1) {
      (await service.arrival()).end();
      assert.equal(one.state, "waiting");
      listeners.dispatchEvent(new Event("online"));
    }
    const socket = await service.connection();
    const sent = await socket.next();
    listeners.dispatchEvent(new Event("online"));
    assert.equal((await socket.next()).action, "streamer.ping");
    socket.answer(sent, 1);
    await going;
    listeners.dispatchEvent(new Event("online"));
    assert.ok(socket.silent);
    assert.equal(getEventListeners(listeners, "online").length, 1);
    one.close();
    assert.equal(getEventListeners(listeners, "online").length, 0);
    assert.equal(service.sockets.length, 4);
  } finally {
    delete globalThis.addEventListener;
    delete globalThis.removeEventListener;
  }
});

test("a try that is brought forward takes the place of the one that was due", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const token = mock.fn(() => (token.mock.callCount() === 0 ? "first" : new Promise(() => {})));
  const one = client({ random: () => 1, token, openTimeout: 1e6 });
  one.start("echo");
  mock.timers.tick(0);
  await turn();
  service.sockets[0].end();
  assert.equal(one.state, "waiting");
  one.connect().catch(() => {});
  mock.timers.tick(60_000);
  assert.equal(token.mock.callCount(), 2);
});

// Connecting and closing

test("connect tries once and says that it failed", async () => {
  const one = client();
  const connected = one.connect();
  (await service.arrival()).end();
  await assert.rejects(connected, { code: "CONNECTION_LOST", retryable: true, url: "ws://service/ws" });
  assert.equal(one.state, "idle");
  assert.equal(service.sockets.length, 1);
  const again = [one.connect(), one.connect()];
  (await service.connection()).next();
  await Promise.all(again);
  await one.connect();
  assert.equal(service.sockets.length, 2);
});

test("closing ends what waits, also while it tries, and what the old socket says is not heard", async () => {
  const one = client();
  const going = one.request("echo");
  const socket = await service.connection();
  const sent = await socket.next();
  one.close();
  socket.answer(sent, 1);
  await assert.rejects(going, { closeCode: 1000, reason: "closed by this client" });
  assert.equal(socket.closedWith, 1000);
  await assert.rejects(one.request("echo"), { closeCode: 1000 });

  const trying = client({ token: () => new Promise(() => {}) });
  const waiting = trying.request("echo");
  await turn();
  trying.close();
  await assert.rejects(waiting, { closeCode: 1000 });
  assert.equal(service.sockets.length, 1);
});

test("a token that comes after the end opens nothing", async () => {
  const tokens = [];
  const one = client({ token: () => new Promise((resolve, reject) => tokens.push({ resolve, reject })) });
  for (const how of ["resolve", "reject"]) {
    const connected = one.connect();
    one.close();
    tokens.pop()[how]("late");
    await assert.rejects(connected, ConnectionLost);
  }
  assert.equal(service.sockets.length, 0);
  assert.equal(one.state, "closed");
});

// Resume, cancel, list

test("a request of an earlier page is taken up, and what was seen of it is not shown again", async () => {
  const one = client();
  const resuming = one.resume({ requestId: "old", afterSeq: 3 });
  const socket = await service.connection();
  const asked = await socket.next();
  assert.deepEqual(asked.payload, { request_id: "old", after_seq: -1 });
  socket.progress({ id: "old" }, 3, 30);
  socket.answer(asked, { requests: ["old"] });
  const handle = await resuming;
  assert.equal(await one.resume({ requestId: "old" }).then(({ id }) => id), "old");
  socket.progress({ id: "old" }, 4, 40);
  socket.complete({ id: "old" }, 5, "done");
  assert.equal(await handle.result, "done");
  assert.deepEqual(await collected(handle), [40]);
});

test("one that has failed is taken up too; one that nobody knows is not", async () => {
  const one = client();
  const resuming = one.resume({ requestId: "failed" });
  const socket = await service.connection();
  const asked = await socket.next();
  socket.fail({ id: "failed" }, "TIMEOUT", { seq: 9 });
  socket.answer(asked, { requests: ["failed"] });
  await assert.rejects((await resuming).result, { code: "TIMEOUT" });
  const unknown = one.resume({ requestId: "unknown" });
  socket.fail(await socket.next(), "NOT_FOUND");
  await assert.rejects(unknown, { code: "NOT_FOUND", requestId: "unknown" });
});

test("all that is not settled is taken up at once, with its state, whatever came first", async () => {
  const one = client();
  const going = one.start("report", null, { id: "going" });
  const progress = [];
  const resuming = one.resume({ onProgress: (update) => progress.push([update.requestId, update.percentage]) });
  const socket = await service.connection();
  await socket.next();
  socket.acknowledge({ id: "going" });
  const asked = await socket.next();
  assert.deepEqual([asked.action, asked.payload], ["streamer.resume", undefined]);
  socket.progress({ id: "live" }, 7, 70);
  socket.complete({ id: "ended" }, 9, "result");
  socket.complete({ id: "going" }, 2, "gone");
  socket.answer(asked, { requests: ["ended", "live", "going", "quiet"] });
  const handles = await resuming;
  assert.deepEqual(handles.map(({ id, done }) => [id, done]), [["ended", true], ["live", false], ["going", true], ["quiet", false]]);
  assert.equal(handles[2], going);
  assert.equal(await handles[0].result, "result");
  assert.equal(await handles[3].acknowledged, true);
  socket.progress({ id: "stranger" }, 1, 10);
  one.resume({ requestId: "stranger" }).catch(() => {});
  assert.deepEqual((await socket.next()).payload, { request_id: "stranger", after_seq: -1 });
  socket.complete({ id: "live" }, 8, "live result");
  socket.complete({ id: "quiet" }, 1, "quiet result");
  assert.equal(await handles[1].result, "live result");
  assert.equal(await handles[3].result, "quiet result");
  assert.deepEqual(progress, [["live", 70]]);
});

test("a handle cancels its request, once the service has it", async () => {
  const one = client();
  const handle = one.start("report", null, { id: "mine" });
  const cancelled = handle.cancel();
  const socket = await service.connection();
  const sent = await socket.next();
  assert.ok(socket.silent);
  socket.acknowledge(sent);
  const asked = await socket.next();
  assert.deepEqual([asked.action, asked.payload], ["streamer.cancel", { request_id: "mine" }]);
  socket.answer(asked, { request_id: "mine", status: "CANCELLED" });
  assert.deepEqual(await cancelled, { request_id: "mine", status: "CANCELLED" });
  socket.fail(sent, "CANCELLED", { seq: 1 });
  await assert.rejects(handle.result, { code: "CANCELLED" });
  await assert.rejects(handle.cancel(), { code: "CONFLICT" });
});

test("a cancellation that is refused for now is asked for again", async () => {
  const one = client();
  const handle = one.start("do");
  const socket = await service.connection();
  socket.acknowledge(await socket.next());
  const cancelled = handle.cancel();
  const first = await socket.next();
  socket.fail(first, "OVERLOADED", { error: { details: { retry_after_ms: 1 } } });
  const second = await socket.next();
  assert.deepEqual(second, first);
  socket.answer(second, { status: "CANCELLED" });
  assert.deepEqual(await cancelled, { status: "CANCELLED" });
});

test("what was lost cannot be cancelled", async () => {
  const one = client({ reconnect: false });
  const handle = one.start("report");
  (await service.connection()).end();
  await assert.rejects(handle.cancel(), ConnectionLost);
});

test("status, list and cancel ask the service", async () => {
  const one = client();
  const asked = [one.status("a"), one.cancel("b"), one.list(), one.list({ status: "PENDING", limit: 2 })];
  const socket = await service.connection();
  for (const _ of asked) {
    const sent = await socket.next();
    socket.answer(sent, [sent.action, sent.payload]);
  }
  assert.deepEqual(await Promise.all(asked), [
    ["streamer.status", { request_id: "a" }],
    ["streamer.cancel", { request_id: "b" }],
    ["streamer.list", {}],
    ["streamer.list", { status: "PENDING", limit: 2 }],
  ]);
});

// AbortSignal

test("an abort ends the waiting at once and cancels what the service has stored", async () => {
  const aborting = new AbortController();
  const one = client();
  const going = one.request("report", null, { id: "mine", signal: aborting.signal });
  const socket = await service.connection();
  const sent = await socket.next();
  socket.acknowledge(sent);
  aborting.abort();
  await assert.rejects(going, { name: "AbortError" });
  assert.deepEqual((await socket.next()).payload, { request_id: "mine" });
  socket.fail(sent, "CANCELLED", { seq: 1 });
  one.start("report", null, { id: "mine" });
  assert.equal((await socket.next()).action, "report");
});

test("an abort before the acknowledgment cancels after it", async () => {
  const aborting = new AbortController();
  const one = client();
  const going = one.request("report", null, { signal: aborting.signal });
  const socket = await service.connection();
  const sent = await socket.next();
  aborting.abort(new Error("enough"));
  await assert.rejects(going, /enough/);
  assert.ok(socket.silent);
  socket.acknowledge(sent);
  assert.deepEqual((await socket.next()).payload, { request_id: sent.id });
});

test("an abort of a direct request cancels nothing; of one that was not sent, sends nothing", async () => {
  const aborting = new AbortController();
  const one = client();
  const direct = one.start("echo", null, { signal: aborting.signal });
  const socket = await service.connection();
  const sent = await socket.next();
  aborting.abort();
  socket.answer(sent, 1);
  await assert.rejects(one.request("echo", null, { signal: AbortSignal.abort() }), { name: "AbortError" });
  const last = one.request("echo", "last");
  const next = await socket.next();
  assert.equal(next.payload, "last");
  socket.answer(next, "last");
  assert.equal(await last, "last");
  await assert.rejects(direct.result, { name: "AbortError" });

  const waiting = new AbortController();
  const other = client();
  const unsent = other.request("echo", null, { signal: waiting.signal });
  waiting.abort();
  await assert.rejects(unsent, { name: "AbortError" });
  const opened = other.connect();
  const fresh = await service.connection();
  await opened;
  assert.ok(fresh.silent);
});

test("an abort that a break has overtaken is not sent again, only cancelled", async () => {
  const aborting = new AbortController();
  const one = client();
  const going = one.request("report", null, { id: "mine", signal: aborting.signal });
  const first = await service.connection();
  await first.next();
  aborting.abort();
  await assert.rejects(going, { name: "AbortError" });
  first.end();
  const second = await service.connection();
  const asked = await second.next();
  assert.deepEqual([asked.action, asked.payload], ["streamer.cancel", { request_id: "mine" }]);
  second.fail(asked, "NOT_FOUND");
  await turn();
  assert.ok(second.silent);
});

test("a request that has ended no longer listens to its signal", async () => {
  const aborting = new AbortController();
  const one = client();
  const going = one.request("echo", null, { signal: aborting.signal });
  const socket = await service.connection();
  socket.answer(await socket.next(), 1);
  await going;
  await turn();
  assert.equal(getEventListeners(aborting.signal, "abort").length, 0);
});
