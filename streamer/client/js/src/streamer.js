/**
 * The JavaScript client of streamer, for browsers and for Node 20 or newer. It has no dependencies.
 *
 *     const client = new StreamerClient("wss://example.com/ws");
 *     const report = await client.request("generate_report", { group_by: "month" }, { onProgress: console.log });
 *
 * The client reconnects while any request waits, and waiting requests survive the break: what the service has
 * acknowledged is resumed, other requests are sent again with the same id. All durations are milliseconds.
 * streamer.d.ts documents the API.
 */

export { StreamerClient } from "./client.js";
export { ConnectionLost, MessageTooLarge, NotAnswered, StreamerError } from "./errors.js";
