/**
 * Who is heard, and how well: looks at the statistics of what comes, tells the server of them now
 * and then (they are part of the call's record), and listens for who speaks.
 */

import { grade, look, measure, worst } from './quality.js';
import { SILENT, hear } from './speaking.js';
import { signal } from '../../vendor/signals-core.js';

const LOOK_MS = 2_000;
const REPORT_MS = 30_000;
const LISTEN_MS = 200;

/** @typedef {{stats: () => Promise<any>, level: () => number}} Source what comes from one person; the level is 0 to 1 */
/** @typedef {{measured: Parley.Voice.Measured, grade: Parley.Voice.Grade}} Quality */

/**
 * @typedef {object} Options
 * @property {() => string} me own pid
 * @property {() => [string, Source][]} sources of those who are connected, by pid
 * @property {(peer: string, measured: Parley.Voice.Measured) => void} report
 * @property {Parley.Clock} clock
 */

export class Hearing {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.qualities = signal(/** @type {Map<string, Quality>} */ (new Map()));
    /** The pids of who speaks now, oneself included. */
    this.speaking = signal(/** @type {Set<string>} */ (new Set()));
    /** @type {Map<string, Parley.Voice.Look>} */
    this.looks = new Map();
    /** @type {Map<string, Parley.Voice.Look>} as of the last report */
    this.told = new Map();
    /** @type {Map<string, {speaking: boolean, until: number}>} */
    this.voices = new Map();
    /** @type {(() => void)[]} */
    this.tasks = [];
    this.serial = 0;
  }

  begin() {
    this.end();
    const { clock } = this.options;
    this.tasks = [every(clock, LOOK_MS, () => this.#look()), every(clock, REPORT_MS, () => this.report()), every(clock, LISTEN_MS, () => this.#listen())];
  }

  end() {
    this.serial += 1;
    for (const stop of this.tasks.splice(0)) stop();
    for (const known of [this.looks, this.told, this.voices]) known.clear();
    this.qualities.value = new Map();
    this.speaking.value = new Set();
  }

  /** The grade of the call: of the worst connection. */
  grade() {
    return worst([...this.qualities.value.values()].map((one) => one.grade));
  }

  /** Tells what was seen last: at the end of a page there is no time for another look. */
  report() {
    for (const [peer, now] of this.looks) {
      const measured = measure(this.told.get(peer) ?? null, now);
      this.told.set(peer, now);
      if (measured) this.options.report(peer, measured);
    }
  }

  /** @param {string} pid @param {number} level 0 to 1 @param {number} [now] */
  heard(pid, level, now = this.options.clock.now()) {
    const after = hear(this.voices.get(pid) ?? SILENT, level, now);
    this.voices.set(pid, after);
    if (after.speaking === this.speaking.value.has(pid)) return;
    const next = new Set(this.speaking.value);
    if (after.speaking) next.add(pid);
    else next.delete(pid);
    this.speaking.value = next;
  }

  async #look() {
    const { serial } = this;
    const found = await Promise.all(this.options.sources().map(async ([pid, source]) => /** @type {const} */ ([pid, look((await source.stats()).values())])));
    if (serial !== this.serial) return;
    const next = new Map();
    const before = this.looks;
    this.looks = new Map(found);
    for (const [pid, now] of found) {
      const measured = measure(before.get(pid) ?? null, now);
      if (measured) next.set(pid, { measured, grade: grade(measured) });
    }
    this.qualities.value = next;
  }

  #listen() {
    const { clock, me, sources } = this.options;
    const all = sources();
    const there = new Set([me(), ...all.map(([pid]) => pid)]);
    for (const pid of this.speaking.value) if (!there.has(pid)) this.heard(pid, 0, Infinity);
    for (const [pid, source] of all) this.heard(pid, source.level(), clock.now());
  }
}

/**
 * Does something again and again, from the first time after `ms` on.
 * @param {Parley.Clock} clock @param {number} ms @param {() => unknown} task
 * @returns {() => void} ends it
 */
export function every(clock, ms, task) {
  /** @type {any} */
  let timer;
  const again = () => { timer = clock.setTimeout(() => { again(); task(); }, ms); };
  again();
  return () => clock.clearTimeout(timer);
}
