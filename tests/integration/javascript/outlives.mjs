/** Starts a request, says when it is acknowledged, and later what became of it and of one that was never answered. */

import { StreamerClient } from "../../../streamer/client/js/streamer.js";

const client = new StreamerClient(process.env.STREAMER_URL, { random: () => 0.1 });
const tell = (line) => console.log(JSON.stringify(line));

const handle = client.start("nap");
await handle.acknowledged;
client.start("stuck", null, { id: "stuck" });
tell({ acknowledged: handle.id });
const seen = [];
for await (const { seq } of handle) seen.push(seq);
tell({ result: await handle.result, seen });
tell({ echo: await client.request("echo", { n: 1 }) });
client.close();
