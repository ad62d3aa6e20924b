/**
 * One connection to the gateway, kept alive: ticket → socket → `connect` → ready.
 *
 * It guarantees: one live socket at a time as seen from outside; every request is
 * settled (a lost connection rejects it); reconnects with full jitter from 0.5 to 20 s;
 * after a close code 45xx it stops. Clock, socket, ticket and randomness are given,
 * so that tests need neither network nor waiting.
 */

import { CLIENT, Close, ConnectionLost, PING_SECONDS, PONG_SECONDS, Refused, decode, encode, mayReconnect } from './protocol.js';


const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 20_000;
const HANDSHAKE_MS = 10_000;
const REQUEST_MS = 20_000;
// Cloud Run ends any request at 60 minutes: come back before, new socket first.
const RENEW_FROM_MS = 50 * 60_000;
const RENEW_WITHIN_MS = 7 * 60_000;
const OLD_SOCKET_LINGERS_MS = 2_000;

/** @type {Parley.Clock} */
export const systemClock = {
  now: () => Date.now(),
  setTimeout: (task, ms) => globalThis.setTimeout(task, ms),
  clearTimeout: (timer) => globalThis.clearTimeout(timer),
};

/**
 * @typedef {object} Options
 * @property {() => Promise<string>} ticket rejects with `status` 401 when signed out
 * @property {() => Parley.SocketLike} open
 * @property {(frame: Parley.EventFrame) => void} onEvent
 * @property {(op: string, d: any) => void} [onControl] `resync` and what else the server says
 * @property {(state: Parley.ConnectionState) => void} onState
 * @property {() => void} onReady subscriptions are to be made (again)
 * @property {Parley.Clock} [clock]
 * @property {() => number} [random] from 0 to 1
 */

export class Connection {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.clock = options.clock ?? systemClock;
    this.random = options.random ?? Math.random;
    this.attempt = 0;
    /** @type {Link | null} */
    this.link = null;
    /** @type {Link | null} */
    this.opening = null;
    /** @type {any} */
    this.retryTimer = null;
    /** @type {any} */
    this.renewTimer = null;
    /** @type {Parley.ConnectionState} */
    this.state = { phase: 'idle', since: this.clock.now(), code: 0 };
  }

  get ready() {
    return this.link !== null;
  }

  start() {
    if (this.state.phase === 'idle') void this.#open();
  }

  /** Ends it for good. */
  stop() {
    this.#stopped(0);
  }

  /** The network may be back: try now instead of after the pause. */
  wake() {
    if (this.state.phase === 'waiting') void this.#open();
    else if (this.link) void this.link.ping();
  }

  /** The browser says that the network is gone: believe it at once. */
  networkLost() {
    if (this.link) this.link.drop(Close.NO_PONG);
  }

  /**
   * @param {string} op
   * @param {object} d
   * @returns {Promise<any>} what the server answered
   * @throws {Refused | ConnectionLost}
   */
  request(op, d) {
    return this.link ? this.link.request(op, d) : Promise.reject(new ConnectionLost());
  }

  async #open() {
    this.clock.clearTimeout(this.retryTimer);
    if (this.opening || this.state.phase === 'stopped') return;
    const link = new Link(this.clock, this.options, (code) => this.#lost(link, code), (d) => this.#renewAfter(d.after_ms ?? 0));
    this.opening = link;
    if (!this.link) this.#show('connecting');
    try {
      const ticket = await this.options.ticket();
      // Stopped, or given up, while the ticket was on its way.
      if (this.opening !== link) return;
      await link.connect(ticket);
    } catch (error) {
      if (/** @type {any} */ (error).status === 401) this.#stopped(401);
      else this.#lost(link, 0);
      return;
    }
    if (this.opening !== link) return link.drop(1000);
    this.#became(link);
  }

  /** @param {Link} link */
  #became(link) {
    const old = this.link;
    this.opening = null;
    this.link = link;
    this.attempt = 0;
    this.#renewAfter(RENEW_FROM_MS + this.random() * RENEW_WITHIN_MS);
    this.#show('ready');
    this.options.onReady();
    if (old) this.clock.setTimeout(() => old.drop(1000), OLD_SOCKET_LINGERS_MS);
  }

  /** @param {number} ms */
  #renewAfter(ms) {
    this.clock.clearTimeout(this.renewTimer);
    this.renewTimer = this.clock.setTimeout(() => void this.#open(), ms);
  }

  /**
   * @param {Link} link
   * @param {number} code
   */
  #lost(link, code) {
    if (link !== this.link && link !== this.opening) return;
    if (link === this.opening) this.opening = null;
    if (link === this.link) this.link = null;
    link.drop(1000);
    if (!mayReconnect(code)) return this.#stopped(code);
    if (this.state.phase === 'stopped' || this.opening) return;
    if (this.link) return this.#renewAfter(LONGEST_DELAY_MS); // only the renewal failed
    this.clock.clearTimeout(this.renewTimer);
    const ceiling = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** this.attempt);
    this.attempt += 1;
    this.#show('waiting');
    this.retryTimer = this.clock.setTimeout(() => void this.#open(), Math.max(50, this.random() * ceiling));
  }

  /** @param {number} code */
  #stopped(code) {
    const { link, opening } = this;
    this.link = this.opening = null;
    this.clock.clearTimeout(this.retryTimer);
    this.clock.clearTimeout(this.renewTimer);
    this.#show('stopped', code);
    link?.drop(1000);
    opening?.drop(1000);
  }

  /**
   * @param {Parley.Phase} phase
   * @param {number} code
   */
  #show(phase, code = 0) {
    const since = phase === 'ready' ? 0 : this.state.since || this.clock.now();
    this.state = { phase, since, code };
    this.options.onState(this.state);
  }
}

/** One socket, from its opening to its end. */
class Link {
  /**
   * @param {Parley.Clock} clock
   * @param {Options} options
   * @param {(code: number) => void} lost
   * @param {(d: any) => void} reconnect
   */
  constructor(clock, options, lost, reconnect) {
    this.clock = clock;
    this.options = options;
    this.lost = lost;
    this.reconnect = reconnect;
    this.serial = 0;
    this.ended = false;
    /** @type {Map<number, {resolve: (ok: any) => void, reject: (error: Error) => void, timer: any}>} */
    this.waiting = new Map();
    /** @type {Parley.SocketLike | null} */
    this.socket = null;
    /** @type {any} */
    this.pingTimer = null;
  }

  /** @param {string} ticket */
  async connect(ticket) {
    const socket = this.options.open();
    this.socket = socket;
    await new Promise((resolve, reject) => {
      const timer = this.clock.setTimeout(() => reject(new ConnectionLost()), HANDSHAKE_MS);
      socket.onopen = () => { this.clock.clearTimeout(timer); resolve(undefined); };
      socket.onmessage = (event) => this.#received(event.data);
      socket.onerror = () => {};
      socket.onclose = (event) => {
        this.clock.clearTimeout(timer);
        reject(new ConnectionLost());
        this.#over(event.code ?? 1006);
      };
    });
    await this.request('connect', { ticket, client: CLIENT });
    this.#pingLater();
  }

  /**
   * @param {string} op
   * @param {object} d
   * @param {number} ms
   * @returns {Promise<any>}
   */
  request(op, d, ms = REQUEST_MS) {
    const { socket } = this;
    if (this.ended || !socket) return Promise.reject(new ConnectionLost());
    const id = (this.serial += 1);
    return new Promise((resolve, reject) => {
      // A server that does not answer is as good as gone: another socket may do better.
      const timer = this.clock.setTimeout(() => this.#over(Close.NO_PONG), ms);
      this.waiting.set(id, { resolve, reject, timer });
      socket.send(encode(id, op, d));
    });
  }

  async ping() {
    try {
      await this.request('ping', {}, PONG_SECONDS * 1000);
    } catch (error) {
      if (error instanceof Refused) return;
      this.#over(Close.NO_PONG);
    }
  }

  #pingLater() {
    this.pingTimer = this.clock.setTimeout(() => {
      void this.ping().then(() => { if (!this.ended) this.#pingLater(); });
    }, PING_SECONDS * 1000);
  }

  /** @param {number} code */
  drop(code) {
    this.#over(code);
  }

  /** @param {string} data */
  #received(data) {
    if (this.ended) return;
    const frame = decode(data);
    if (frame.kind === 'event') return this.options.onEvent(frame.event);
    if (frame.kind === 'control') {
      if (frame.op === 'reconnect') this.reconnect(frame.d);
      else this.options.onControl?.(frame.op, frame.d);
      return;
    }
    const asked = this.waiting.get(frame.id);
    if (!asked) return;
    this.waiting.delete(frame.id);
    this.clock.clearTimeout(asked.timer);
    if (frame.kind === 'ok') asked.resolve(frame.ok);
    else asked.reject(new Refused(frame.err));
  }

  /** @param {number} code */
  #over(code) {
    if (this.ended) return;
    this.ended = true;
    this.clock.clearTimeout(this.pingTimer);
    const { socket } = this;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(code >= 3000 ? code : 1000);
    }
    for (const { reject, timer } of this.waiting.values()) {
      this.clock.clearTimeout(timer);
      reject(new ConnectionLost());
    }
    this.waiting.clear();
    this.lost(code);
  }
}
