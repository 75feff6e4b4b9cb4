/**
 * The JavaScript client of streamer, for browsers and for Node 20 or newer. It has no dependencies.
 *
 *     const client = new StreamerClient("wss://example.com/ws");
 *     const report = await client.request("generate_report", { group_by: "month" }, { onProgress: console.log });
 *
 * A connection that breaks is opened again while anything waits, and waiting outlives the break: what the service has
 * acknowledged is resumed, what it has not is sent again with the same id. All durations are milliseconds.
 * What everything means is said in streamer.d.ts.
 */

export { StreamerClient } from "./client.js";
export { ConnectionLost, MessageTooLarge, NotAnswered, StreamerError } from "./errors.js";
