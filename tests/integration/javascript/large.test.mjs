/** The JavaScript client over the package ws, with its limit, and a real service with limits of its own. */

import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";

import { MessageTooLarge, StreamerClient } from "../../../streamer/client/js/streamer.js";

const { WebSocket } = await import(process.env.WS);

class Limited extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { maxPayload: 1 << 20 });
  }
}

let client;

beforeEach(() => {
  client = new StreamerClient(process.env.STREAMER_URL, { WebSocket: Limited, maxReconnectDelay: 200 });
});

afterEach(() => client.close());

const large = "x".repeat(2 << 20);

for (const action of ["direct", "queued"]) {
  test(`a ${action} answer over the socket's limit ends its request, whatever else is under way`, async () => {
    const others = [1, 2, 3].map((n) => client.request("queued", n));
    const going = client.request(action, large);
    others.push(...[4, 5].map((n) => client.request("direct", n)));
    await assert.rejects(going, MessageTooLarge);
    assert.deepEqual((await Promise.all(others)).map(({ echo }) => echo), [1, 2, 3, 4, 5]);
    assert.equal((await client.request("direct", "after")).echo, "after");
  });

  test(`a ${action} result over the service's limit is an error that names it`, async () => {
    await assert.rejects(client.request(action, "x".repeat((3 << 20) + 5000)), (error) => {
      assert.deepEqual([error.code, error.retryable, error.details.limit], ["INTERNAL_ERROR", false, 3 << 20]);
      return /too large/.test(error.message);
    });
  });
}

test("a request over the service's limit ends alone", async () => {
  const others = [client.request("direct", 1), client.request("queued", 2)];
  await assert.rejects(client.request("direct", "x".repeat(5 << 20)), MessageTooLarge);
  assert.deepEqual((await Promise.all(others)).map(({ echo }) => echo), [1, 2]);
});
