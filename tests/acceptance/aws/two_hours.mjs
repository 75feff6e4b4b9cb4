/** Follows one long request at argv[2], and writes what it was told, and how often it had to connect again. */

import { StreamerClient } from "../../../streamer/client/js/streamer.js";

const [url, payload] = process.argv.slice(2);
const seen = [];
let opened = 0;
const client = new StreamerClient(url, {
  onStateChange: (state) => {
    opened += state === "open";
  },
});
await client.connect();
const result = await client.request("toil", JSON.parse(payload), {
  onProgress: ({ percentage }) => seen.push(percentage),
});
// A request after the cuts is nothing special.
const echo = await client.request("echo", "still here");
console.log(JSON.stringify({ opened, seen, result, echo: echo.echo }));
client.close();
