/**
 * Where this client stands in each stream, and that it misses nothing:
 * an event is handed on exactly once and in the order of its offsets. A duplicate is
 * dropped; a gap is asked for again from the last position; where the server cannot
 * give the exact suffix, `onLost` asks for a reload, never for a part.
 */

import { Code, ConnectionLost, Refused } from './protocol.js';

/** @typedef {{position: Parley.Position | null, state: 'idle' | 'asking' | 'live' | 'reloading'}} Stream */

const AT_ONCE = 6;
const RATE_PAUSE_MS = 1_000;

/**
 * @typedef {object} Options
 * @property {(op: string, d: object) => Promise<any>} request
 * @property {(frame: Parley.EventFrame) => void} onEvent
 * @property {(stream: string) => void} onLost must end in `reset`
 * @property {(stream: string, code: number) => void} [onRefused]
 * @property {(stream: string) => void} [onFresh] followed from its top: what was loaded before may be old
 * @property {(ms: number) => Promise<void>} [pause]
 */

export class Streams {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.pause = options.pause ?? ((ms) => new Promise((done) => setTimeout(done, ms)));
    /** @type {Map<string, Stream>} */
    this.streams = new Map();
    /** @type {string[]} */
    this.queue = [];
    this.asking = 0;
    this.connected = false;
  }

  /**
   * Follow a stream from `position` on, or from its top when null. A stream that is followed already keeps its place.
   * @param {string} name
   * @param {Parley.Position | null} position
   */
  follow(name, position) {
    if (this.streams.has(name)) return;
    this.streams.set(name, { position, state: 'idle' });
    this.#enqueue(name);
  }

  /**
   * The server has subscribed this socket by itself, from `position` on.
   * @param {string} name
   * @param {Parley.Position} position
   * @returns {boolean} false when we have more than that already
   */
  placed(name, position) {
    const known = this.streams.get(name)?.position;
    const ahead = known?.epoch === position.epoch && known.offset > position.offset;
    this.streams.set(name, { position: ahead ? known : position, state: 'live' });
    return !ahead;
  }

  /** @param {string} name */
  leave(name) {
    if (!this.streams.delete(name) || !this.connected) return;
    this.options.request('unsub', { s: name }).catch((error) => {
      // Unsubscribing is a courtesy: a closed socket has done it already.
      if (!(error instanceof ConnectionLost || error instanceof Refused)) throw error;
    });
  }

  /**
   * The state was loaded by REST at `position`: continue there.
   * @param {string} name
   * @param {Parley.Position} position
   */
  reset(name, position) {
    const stream = this.streams.get(name);
    if (!stream) return;
    stream.position = position;
    stream.state = 'idle';
    this.#enqueue(name);
  }

  /** @param {string} name the stream's last position */
  position(name) {
    return this.streams.get(name)?.position ?? null;
  }

  /** A new socket: everything is to be asked for again, from where we stand. @param {string[]} first */
  resume(first = []) {
    this.connected = true;
    const names = [...first.filter((name) => this.streams.has(name)), ...this.streams.keys()];
    this.queue = [];
    for (const name of new Set(names)) {
      const stream = this.streams.get(name);
      if (!stream || stream.state === 'reloading') continue;
      stream.state = 'idle';
      this.#enqueue(name);
    }
  }

  disconnected() {
    this.connected = false;
    this.queue = [];
    for (const stream of this.streams.values()) if (stream.state !== 'reloading') stream.state = 'idle';
  }

  /** @param {Parley.EventFrame} frame */
  received(frame) {
    if (frame.o === undefined) return this.options.onEvent(frame);
    const stream = this.streams.get(frame.s);
    if (!stream || stream.state === 'reloading') return;
    const at = stream.position;
    if (!at) return; // before the answer to `sub`: the answer's position counts this event already
    if (frame.e === at.epoch && frame.o <= at.offset) return;
    if (frame.e === at.epoch && frame.o === at.offset + 1) {
      stream.position = { epoch: at.epoch, offset: frame.o };
      return this.options.onEvent(frame);
    }
    if (stream.state === 'live') {
      stream.state = 'idle';
      this.#enqueue(frame.s);
    }
  }

  /** The server asks for a reload. @param {string} name */
  lost(name) {
    const stream = this.streams.get(name);
    if (!stream || stream.state === 'reloading') return;
    stream.state = 'reloading';
    this.options.onLost(name);
  }

  /** @param {string} name */
  #enqueue(name) {
    if (!this.connected || this.queue.includes(name)) return;
    this.queue.push(name);
    this.#work();
  }

  #work() {
    while (this.asking < AT_ONCE && this.queue.length > 0) {
      const name = /** @type {string} */ (this.queue.shift());
      this.asking += 1;
      void this.#ask(name).finally(() => {
        this.asking -= 1;
        this.#work();
      });
    }
  }

  /** @param {string} name */
  async #ask(name) {
    const stream = this.streams.get(name);
    if (!stream || stream.state !== 'idle') return;
    stream.state = 'asking';
    // A stream in which nothing has happened yet has no epoch to go on from.
    const from = stream.position?.epoch ? stream.position : null;
    const place = from ? { s: name, e: from.epoch, o: from.offset } : { s: name };
    try {
      this.#answered(name, stream, from, await this.options.request('sub', place));
    } catch (error) {
      if (stream.state === 'asking') stream.state = 'idle';
      if (error instanceof ConnectionLost) return;
      if (!(error instanceof Refused)) throw error;
      await this.#refused(name, error);
    }
  }

  /**
   * @param {string} name
   * @param {Stream} stream
   * @param {Parley.Position | null} from
   * @param {{e: string, o: number, recovered: boolean}} answer
   */
  #answered(name, stream, from, answer) {
    if (this.streams.get(name) !== stream || stream.state !== 'asking') return;
    if (from && !answer.recovered) return this.lost(name);
    stream.state = 'live';
    if (from) return;
    stream.position = { epoch: answer.e, offset: answer.o };
    this.options.onFresh?.(name);
  }

  /**
   * @param {string} name
   * @param {Refused} refusal
   */
  async #refused(name, refusal) {
    if (refusal.retry) {
      await this.pause(RATE_PAUSE_MS);
      this.#enqueue(name);
    } else if (refusal.code === Code.UNRECOVERABLE) {
      this.lost(name);
    } else {
      this.streams.delete(name);
      this.options.onRefused?.(name, refusal.code);
    }
  }
}
