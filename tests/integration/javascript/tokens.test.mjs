/** The JavaScript client and a real service that wants tokens. */

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { describe, test } from "node:test";

import { StreamerClient } from "../../../streamer/client/js/streamer.js";

const url = process.env.STREAMER_URL;

function token(seconds, user = "ada") {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1000);
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part({ sub: user, iat: now, exp: now + seconds })}`;
  return `${text}.${createHmac("sha256", process.env.JWT_SECRET).update(text).digest("base64url")}`;
}

describe("tokens", { concurrency: true }, () => {
  test("a token that runs out is renewed on the connection that stands", async () => {
    const states = [];
    const tokens = [token(3)];
    const client = new StreamerClient(url, {
      token: () => tokens.shift() ?? token(3600),
      onStateChange: (state) => states.push(state),
    });
    assert.equal((await client.request("walk")).steps, 10);
    assert.equal(tokens.length, 0);
    assert.deepEqual(states.filter((state) => state === "open"), ["open"]);
    client.close();
  });

  test("waiting outlives the token where a fresh one can be had", async () => {
    const tokens = [token(3), "not a token"];
    const codes = [];
    const client = new StreamerClient(url, {
      token: () => tokens.shift() ?? token(3600),
      onStateChange: (state, { code }) => codes.push([state, code]),
    });
    assert.equal((await client.request("walk")).steps, 10);
    assert.equal(tokens.length, 0);
    assert.equal(codes.filter(([state]) => state === "open").length, 2);
    client.close();
  });

  test("a token that cannot be renewed ends the waiting when it expires", async () => {
    const client = new StreamerClient(url, { token: token(3) });
    await assert.rejects(client.request("walk"), { closeCode: 3500, retryable: false });
  });

  test("a fresh token keeps the connection open", async () => {
    const states = [];
    const client = new StreamerClient(url, { token: token(3), onStateChange: (state) => states.push(state) });
    const walk = client.request("walk");
    const told = await client.authenticate(token(3600));
    assert.equal(told.user_id, "ada");
    assert.equal((await walk).steps, 10);
    assert.deepEqual(states.filter((state) => state === "open"), ["open"]);
    await assert.rejects(client.authenticate(token(3600, "eve")), { code: "FORBIDDEN" });
    client.close();
  });

  test("without a token that is good nobody gets in", async () => {
    for (const bad of [undefined, "nonsense", token(-3600)]) {
      const client = new StreamerClient(url, { token: bad });
      await assert.rejects(client.connect(), { code: "CONNECTION_LOST", retryable: true });
    }
  });

  test("requests belong to the user, whatever the client's id is", async () => {
    const first = new StreamerClient(url, { token: token(3600) });
    const handle = first.start("walk");
    await handle.acknowledged;
    first.close();
    const second = new StreamerClient(url, { token: token(3600) });
    const [found] = (await second.resume()).filter(({ id }) => id === handle.id);
    assert.equal((await found.result).steps, 10);
    second.close();
    const eve = new StreamerClient(url, { token: token(3600, "eve") });
    await assert.rejects(eve.status(handle.id), { code: "NOT_FOUND" });
    eve.close();
  });
});
