/** The JavaScript client and a real service, with a network between them that breaks. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { StreamerClient } from "../../../streamer/client/js/streamer.js";
import { relay } from "./relay.mjs";

const url = process.env.STREAMER_URL;
let network;

before(async () => {
  network = await relay(url);
});

after(() => network.close());

async function withClient(options, act) {
  const client = new StreamerClient(network.url, options);
  try {
    return await act(client);
  } finally {
    client.close();
  }
}

test("direct and queued requests go side by side over one connection", async () => {
  await withClient({}, async (client) => {
    const seen = [];
    const nap = client.request("nap", null, { onProgress: ({ percentage }) => seen.push(percentage) });
    const echoes = Array.from({ length: 200 }, (_, n) => client.request("echo", { n }));
    assert.deepEqual((await Promise.all(echoes)).map(({ echo }) => echo.n), [...Array(200).keys()]);
    assert.equal((await nap).steps, 10);
    assert.equal(seen.at(-1), 100);
    assert.deepEqual(seen, seen.toSorted?.((a, b) => a - b) ?? [...seen].sort((a, b) => a - b));
    assert.equal(network.connections, 1);
  });
});

test("every violation arrives, with its place", async () => {
  await withClient({}, async (client) => {
    await assert.rejects(client.request("echo", { n: "one" }), (error) => {
      return error.code === "VALIDATION_ERROR" && error.details.errors[0].path === "/n";
    });
    await assert.rejects(client.request("ecoh"), { code: "INVALID_ACTION" });
  });
});

test("progress and result come once each over a network that is cut again and again", async () => {
  await withClient({ random: () => 0.01 }, async (client) => {
    const seen = [];
    let cuts = 0;
    const handle = client.start("stroll");
    for await (const { seq, percentage } of handle) {
      seen.push([seq, percentage]);
      if (cuts < 5) {
        cuts += 1;
        network.cut();
      }
    }
    assert.equal((await handle.result).steps, 10);
    assert.ok(cuts >= 2, `${cuts}`);
    for (let place = 1; place < seen.length; place += 1) {
      assert.ok(seen[place][0] > seen[place - 1][0] && seen[place][1] >= seen[place - 1][1], JSON.stringify(seen));
    }
  });
});

test("what was sent while the network broke is the same request, and runs once", async () => {
  await withClient({ random: () => 0.01 }, async (client) => {
    await client.connect();
    const handles = Array.from({ length: 20 }, () => client.start("nap"));
    network.cut();
    const results = await Promise.all(handles.map(({ result }) => result));
    assert.equal(results.length, 20);
    const { requests } = await client.list({ limit: 100 });
    assert.deepEqual(new Set(requests.map((one) => one.request_id)), new Set(handles.map(({ id }) => id)));
    assert.ok(requests.every(({ attempt, status }) => attempt === 1 && status === "COMPLETED"));
  });
});

test("a network that is gone without a word is noticed", async () => {
  await withClient({ pingInterval: 100, pingTimeout: 100, random: () => 0.01 }, async (client) => {
    const handle = client.start("nap");
    await handle.acknowledged;
    network.swallow();
    network.recover();
    assert.equal((await handle.result).steps, 10);
  });
});

test("the next page of the same owner takes up what the last one began; nobody else does", async () => {
  const { clientId, ids } = await withClient({}, async (client) => {
    const handles = [client.start("nap"), client.start("nap")];
    await Promise.all(handles.map(({ acknowledged }) => acknowledged));
    return { clientId: client.clientId, ids: handles.map(({ id }) => id) };
  });
  await withClient({}, async (stranger) => {
    assert.deepEqual(await stranger.resume(), []);
    await assert.rejects(stranger.resume({ requestId: ids[0] }), { code: "NOT_FOUND" });
  });
  await withClient({ clientId }, async (client) => {
    const handles = await client.resume();
    assert.deepEqual(new Set(handles.map(({ id }) => id)), new Set(ids));
    for (const handle of handles) assert.equal((await handle.result).steps, 10);
    const known = await client.resume({ requestId: ids[0] });
    assert.equal((await known.result).steps, 10);
  });
});

test("an abort cancels the request at the service", async () => {
  await withClient({}, async (client) => {
    const aborting = new AbortController();
    const handle = client.start("long", null, { signal: aborting.signal });
    await handle.acknowledged;
    aborting.abort();
    await assert.rejects(handle.result, { name: "AbortError" });
    // The cancellation is on its way; the service has it before the question that follows it is answered for good.
    let status;
    while (status !== "CANCELLED") ({ status } = await client.status(handle.id));
  });
});

test("a handle cancels its request and hears of it", async () => {
  await withClient({}, async (client) => {
    const handle = client.start("long");
    assert.deepEqual(await handle.cancel(), { request_id: handle.id, status: "CANCELLED" });
    await assert.rejects(handle.result, { code: "CANCELLED" });
    await assert.rejects(client.cancel(handle.id), { code: "CONFLICT" });
  });
});
