/** Holds the clients that live in Node. Each line on stdin is a command, each on stdout an answer or an event. */

import { createRequire } from "node:module";
import { createInterface } from "node:readline";

import { ConnectionLost, StreamerClient, StreamerError } from "../../../streamer/client/js/streamer.js";

const require = createRequire(new URL("../../../.tools/", import.meta.url));
const clients = new Map();
const tell = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

/** The package `ws`, as it comes. */
class Ws {
  #tell;
  #socket;

  constructor(tellEvent) {
    this.#tell = tellEvent;
  }

  open({ url, headers, subprotocols }) {
    const { WebSocket } = require("ws");
    const socket = (this.#socket = new WebSocket(url, subprotocols, { headers, perMessageDeflate: false }));
    return new Promise((resolve, reject) => {
      let refused = false;
      socket.on("unexpected-response", (_request, response) => {
        refused = true;
        response.resume();
        socket.terminate();
        resolve(false);
      });
      socket.on("open", () => resolve(true));
      socket.on("error", (error) => refused || reject(error));
      socket.on("message", (data) => this.#tell({ event: "message", text: data.toString() }));
      socket.on("close", (code) => refused || this.#tell({ event: "close", code }));
    });
  }

  send({ frames }) {
    frames.forEach((frame, place) => this.#socket.send(frame, { fin: place === frames.length - 1 }));
  }

  sendBytes({ bytes, binary }) {
    this.#socket.send(Buffer.from(bytes), { binary });
  }

  close() {
    this.#socket?.close();
  }
}

const errorOf = ({ code, message, retryable, details }) => [code, message, retryable, details];

/** This project's own client. */
class Streamer {
  #tell;
  #client;

  constructor(tellEvent) {
    this.#tell = tellEvent;
  }

  async open({ url, token }) {
    this.#client = new StreamerClient(url, { token });
    try {
      await this.#client.connect();
    } catch (error) {
      if (!(error instanceof ConnectionLost)) throw error;
      this.#client.close();
      return false;
    }
    return true;
  }

  ask({ action, payload, options }) {
    const progress = [];
    this.#follow(this.#client.start(action, payload, { ...options, onProgress: noted(progress) }), progress);
  }

  async resume({ requestId }) {
    const progress = [];
    this.#follow(await this.#client.resume({ requestId, onProgress: noted(progress) }), progress);
  }

  cancel({ requestId }) {
    return this.#client.cancel(requestId);
  }

  async authenticate({ token }) {
    try {
      return await this.#client.authenticate(token);
    } catch ({ code, message, retryable }) {
      return { code, message, retryable };
    }
  }

  close() {
    this.#client?.close();
  }

  async #follow(handle, progress) {
    const story = { progress };
    try {
      story.result = await handle.result;
    } catch (error) {
      if (error instanceof ConnectionLost) story.lost = error.closeCode;
      else if (error instanceof StreamerError) story.error = errorOf(error);
      else throw error;
    }
    this.#tell({ event: "ended", id: handle.id, story });
  }
}

function noted(progress) {
  return ({ percentage, message, metadata }) => progress.push([percentage, message, metadata]);
}

const kinds = { ws: Ws, streamer: Streamer };

for await (const line of createInterface({ input: process.stdin })) {
  const { number, on, kind, do: what, ...values } = JSON.parse(line);
  if (!clients.has(on)) clients.set(on, new kinds[kind]((event) => tell({ on, ...event })));
  Promise.resolve()
    .then(() => clients.get(on)[what](values))
    .then(
      (value) => tell({ number, value }),
      (error) => tell({ number, problem: `${error?.stack ?? error}` }),
    );
}
process.exit(0);
