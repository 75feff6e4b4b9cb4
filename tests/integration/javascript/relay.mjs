/** A network between client and service that the test can break: cut for all to see, or just gone silent. */

import { connect, createServer } from "node:net";
import { once } from "node:events";

export async function relay(url) {
  const { hostname, port } = new URL(url);
  const pairs = new Set();
  let silent = false;

  const server = createServer((near) => {
    const far = connect(Number(port), hostname);
    const pair = [near, far];
    pairs.add(pair);
    const pass = (from, to) => {
      from.on("data", (data) => silent || to.write(data));
      from.on("error", () => {});
      from.on("close", () => {
        pairs.delete(pair);
        to.destroy();
      });
    };
    pass(near, far);
    pass(far, near);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");

  return {
    url: `ws://127.0.0.1:${server.address().port}/ws`,
    get connections() {
      return pairs.size;
    },
    cut() {
      for (const [near, far] of pairs) {
        near.resetAndDestroy();
        far.destroy();
      }
    },
    /** What is sent from now on over the present connections is lost without a word. */
    swallow() {
      silent = true;
    },
    /** New connections work again; the old ones stay dead. */
    recover() {
      for (const [near, far] of pairs) for (const socket of [near, far]) socket.removeAllListeners("data").pause();
      silent = false;
    },
    close() {
      this.cut();
      server.close();
    },
  };
}
