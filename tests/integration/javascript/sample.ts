/** A program as a user may write it, to be checked by the compiler and never run. */

import {
  ConnectionLost,
  MessageTooLarge,
  NotAnswered,
  StreamerClient,
  StreamerError,
  type Progress,
  type RequestHandle,
  type RequestPage,
  type State,
} from "../../../streamer/client/js/streamer.js";

interface Report {
  files: Record<string, string>;
}

const client = new StreamerClient("wss://service.example/ws", {
  token: async () => "fresh",
  storage: sessionStorage,
  WebSocket,
  onStateChange: (state: State, { delay = 0 }) => console.log(state, delay + 1),
});

async function main(signal: AbortSignal): Promise<string[]> {
  await client.connect();
  const report = await client.request<Report>("generate_report", { group_by: "week" }, {
    signal,
    wait: 0,
    onProgress: (progress: Progress) => console.log(progress.percentage.toFixed(), progress.metadata?.rows),
  });
  const handle: RequestHandle<Report> = client.start("generate_report", null, { id: "mine" });
  for await (const { percentage, message } of handle) console.log(percentage, message.length);
  const one: RequestHandle<Report> = await client.resume<Report>({ requestId: "mine", afterSeq: 3 });
  const all: RequestHandle[] = await client.resume();
  const page: RequestPage = await client.list({ status: "PROCESSING", limit: 10 });
  const { status } = await one.cancel();
  if (status === "CANCELLED") client.close();
  try {
    await Promise.all(all.map(({ result }) => result));
  } catch (error) {
    if (error instanceof NotAnswered) console.log(error.times + 1, error.closeCode);
    else if (error instanceof MessageTooLarge) console.log(error.requestId);
    else if (error instanceof ConnectionLost) console.log(error.closeCode === 1006, error.code);
    else if (error instanceof StreamerError) console.log(error.details.errors, error.retryable);
  }
  // @ts-expect-error a request's metadata are strings
  client.start("echo", null, { metadata: { n: 1 } });
  // @ts-expect-error there is no such option
  new StreamerClient("/ws", { reconnects: true });
  // @ts-expect-error a status is one of six
  await client.list({ status: "DONE" });
  return [...Object.values(report.files), page.requests[0]?.action ?? client.url, client.clientId];
}

void main(AbortSignal.timeout(1000));
