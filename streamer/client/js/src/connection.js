/** The client's connection, including reconnects: passes events to the state machine and executes its effects. */

import { ConnectionLost, errorOf } from "./errors.js";
import { ClientSocket } from "./link.js";
import { Joiner, eventOf } from "./messages.js";
import { callBack, deferred, randomId, startTimer } from "./options.js";
import { CLOSED_HERE, Phase, newState } from "./state.js";
import { Renewal } from "./tokens.js";
import { nextState } from "./transitions.js";
import { Watchdog } from "./watchdog.js";

export class Connection {
  #url; // for messages
  #address;
  #options;
  #client; // token, authenticate, reported and forgotten
  #state;
  #events = []; // events that occur while effects are executed
  #cause = null; // of the current event: a message, or how an attempt or a connection ended
  #atWork = false;
  #handles = new Map();
  #link = null;
  #joiner = null; // of the open connection
  #trying = null; // settled when the current attempt is over
  #timers = new Set(); // of the current epoch
  #renewal;
  #watchdog;
  #online = () => this.#networkIsBack();

  constructor(url, address, options, client) {
    this.#url = url;
    this.#address = address;
    this.#options = options;
    this.#client = client;
    const { reconnect, maxReconnectDelay } = options;
    const renewable = typeof client.token() === "function";
    this.#state = newState({ reconnect, renewable, longest: maxReconnectDelay, name: randomId("req_") });
    this.#renewal = new Renewal(() => client.token()(), (token) => client.authenticate(token));
    this.#watchdog = new Watchdog(options, {
      isNeeded: () => this.#handles.size > 0,
      ping: () => this.#link.send(JSON.stringify({ id: randomId("ping_"), action: "streamer.ping" })),
      giveUp: (reason) => this.#link.giveUp(reason),
    });
  }

  get state() { return this.#state.phase === Phase.REFUSED ? Phase.CLOSED : this.#state.phase; }

  /** Tries once, unless the connection is open or being opened. */
  async connect() {
    this.#happened({ event: "connect" });
    await this.#trying.promise;
  }

  close() { this.#happened({ event: "close" }, CLOSED_HERE); }

  find(id) { return this.#handles.get(id); }

  /** Sends a request, now or as soon as there is a connection. */
  add(handle) {
    const { id, _text: text, _resend: resend, _patient: patient } = handle;
    if (this.#handles.has(id)) throw new Error(`Request ${id} waits on this client already`);
    this.#handles.set(id, handle);
    this.#happened({ event: "submitted", id, size: text?.length ?? 0, stored: text === null, resend, patient });
    if (this.#state.phase === Phase.OPEN && this.#handles.size === 1) this.#watchdog.watch();
  }

  /** Adopts a request that the service already reports on. */
  adopt(handle) {
    this.#handles.set(handle.id, handle);
    this.#happened({ event: "adopted", id: handle.id });
  }

  /** No caller waits for the request any longer; cancels it. */
  abandon(handle) {
    if (this.#handles.get(handle.id) === handle) this.#happened({ event: "abandoned", id: handle.id, cancel: true });
  }

  // Events

  /** The only place that changes the state. */
  #happened(event, cause = null) {
    this.#events.push([event, cause]);
    if (this.#atWork) return;
    this.#atWork = true;
    try {
      while (this.#events.length > 0) {
        const [next, why] = this.#events.shift();
        const { epoch } = this.#state;
        const [state, todo] = nextState(this.#state, next);
        this.#state = state;
        this.#cause = why;
        if (state.epoch !== epoch) this.#stopTimers();
        for (const effect of todo) this.#do(effect);
      }
    } finally {
      this.#atWork = false;
    }
  }

  #receive(data) {
    this.#watchdog.heard();
    const message = this.#joiner.read(data);
    if (message === null) return;
    const { request_id: id, seq } = message;
    if (id != null && seq != null) this.#client.reported(id);
    const event = eventOf(message, performance.now());
    if (event !== null) this.#happened(event, message);
  }

  #networkIsBack() {
    const { phase, epoch } = this.#state;
    if (phase === Phase.WAITING) this.#happened({ event: "due", epoch });
    else if (phase === Phase.OPEN) this.#watchdog.networkIsBack();
  }

  // Effects

  #do(effect) {
    const { id, epoch } = effect;
    switch (effect.effect) {
      case "send":
        this.#link.send(this.#handles.get(id)._text);
        break;
      case "ask":
        this.#ask(effect);
        break;
      case "deliver":
        this.#handles.get(id)._receive(this.#cause);
        if (this.#handles.get(id).done) this.#handles.delete(id);
        break;
      case "confirm":
        this.#handles.get(id)._store();
        break;
      case "end":
        this.#take(id)._end(errorOf(effect, this.#url, this.#cause));
        break;
      case "forget":
        this.#take(id);
        if (effect.sent) this.#client.forgotten(id);
        break;
      case "later":
        this.#startTimer(effect.delay, { event: "again", epoch, id });
        break;
      case "turn":
        this.#startTimer(effect.delay, { event: "turn_over", epoch, id });
        break;
      case "dial":
        this.#dial(epoch);
        break;
      case "hang_up":
        this.#hangUp(effect.polite);
        break;
      case "wait":
        this.#wait(effect);
        break;
      case "tried":
        if (effect.failed) this.#trying.reject(new ConnectionLost(this.#url, this.#cause));
        else this.#trying.resolve();
        break;
      case "report":
        this.#report(effect.phase === Phase.REFUSED ? Phase.CLOSED : effect.phase, this.#how(effect));
        break;
    }
  }

  #take(id) {
    const handle = this.#handles.get(id);
    this.#handles.delete(id);
    return handle;
  }

  #ask({ id, question, seq }) {
    const payload = { request_id: id, after_seq: seq };
    this.#link.send(JSON.stringify({ id: question, action: "streamer.resume", payload }));
  }

  #dial(epoch) {
    this.#link = new ClientSocket(this.#options, {
      opened: (token) => {
        this.#joiner = new Joiner();
        if (this.#state.options.renewable) this.#renewal.begin(token);
        this.#happened({ event: "opened", epoch, now: performance.now() });
        this.#watchdog.start();
      },
      message: (data) => this.#receive(data),
      failed: (how, final) => {
        const { code, reason } = how;
        this.#happened({ event: "failed", epoch, code, reason, final }, how);
      },
      ended: (how, refused = false) => {
        this.#rest();
        this.#happened({ event: "ended", epoch, ...how, now: performance.now(), refused }, how);
      },
    });
    this.#link.dial(this.#address, this.#client.token());
  }

  #hangUp(polite) {
    this.#rest();
    this.#link.leave();
    if (polite) this.#link.close(1000);
    else this.#link.close();
  }

  #rest() {
    this.#renewal.stop();
    this.#watchdog.stop();
  }

  #wait({ epoch, longest, tries, ...effect }) {
    const delay = this.#options.random() * longest;
    this.#startTimer(delay, { event: "due", epoch });
    this.#report(Phase.WAITING, { delay, tries, ...this.#how(effect) });
  }

  /** How the last connection or attempt ended. */
  #how({ code, reason }) {
    return code === null ? {} : { code, reason, ...(this.#cause?.cause && { cause: this.#cause.cause }) };
  }

  #report(state, detail) {
    if (state === Phase.CONNECTING) this.#trying = deferred();
    const listen = state === "idle" || state === "closed" ? "removeEventListener" : "addEventListener";
    globalThis[listen]?.("online", this.#online);
    callBack(this.#options.onStateChange, state, detail);
  }

  #startTimer(milliseconds, event) {
    const timer = startTimer(() => {
      this.#timers.delete(timer);
      this.#happened(event);
    }, milliseconds);
    this.#timers.add(timer);
  }

  #stopTimers() {
    this.#timers.forEach((timer) => clearTimeout(timer));
    this.#timers.clear();
  }
}
