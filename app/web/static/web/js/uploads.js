/**
 * Files on their way to the server, by the place (conversation or thread) where they were chosen.
 *
 * A file goes up in parts, one file after the other. Whatever breaks off goes on from the part
 * where it was, by itself when the connection is back. A file lives in this page only: until
 * its message is sent, leaving the page loses it, and the page asks before that.
 */

import { ApiError, NetworkError } from './api.js';
import { MAX_ATTACHMENTS } from './protocol.js';
import { signal } from '../vendor/signals-core.js';

export const MAX_FILE_BYTES = 100 * 1024 * 1024;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;

/** @typedef {{request: (method: string, path: string, data?: object) => Promise<any>,
 *   put: (path: string, part: Blob, sent: (bytes: number) => void, signal: AbortSignal) => Promise<void>}} Wire */

export class Uploads {
  /** @param {{wire: Wire, clock: Parley.Clock, newId: () => string}} options */
  constructor({ wire, clock, newId }) {
    this.wire = wire;
    this.clock = clock;
    this.newId = newId;
    /** In the order of choosing. */
    this.all = signal(/** @type {Parley.Upload[]} */ ([]));
    /** @type {Map<string, AbortController>} */
    this.running = new Map();
    this.pauseMs = FIRST_PAUSE_MS;
    /** @type {any} */
    this.timer = null;
  }

  /** @param {string} place @returns {Parley.Upload[]} */
  at(place) {
    return this.all.value.filter((one) => one.place === place);
  }

  /**
   * @param {string} place
   * @param {string} conversation
   * @param {Iterable<File>} files
   * @returns {string} why not all of them were taken, in words; empty when all were
   */
  add(place, conversation, files) {
    const chosen = [...files];
    const room = MAX_ATTACHMENTS - this.at(place).length;
    const fitting = chosen.filter((file) => file.size <= MAX_FILE_BYTES);
    for (const file of fitting.slice(0, room)) {
      this.all.value = [...this.all.value, {
        id: this.newId(), place, conversation, file, name: file.name || 'file', size: file.size,
        state: 'waiting', sent: 0, error: '', done: null,
      }];
    }
    this.#next();
    if (fitting.length < chosen.length) return `A file may have ${MAX_FILE_BYTES / 2 ** 20} MB at most.`;
    return fitting.length > room ? `A message carries at most ${MAX_ATTACHMENTS} files.` : '';
  }

  /** The connection is back: go on. */
  resume() {
    this.clock.clearTimeout(this.timer);
    this.timer = null;
    this.pauseMs = FIRST_PAUSE_MS;
    this.#next();
  }

  /** @param {string} id of one that failed */
  retry(id) {
    this.#change(id, { state: 'waiting', error: '' });
    this.resume();
  }

  /** Its writer does not want it any more. @param {string} id */
  remove(id) {
    this.running.get(id)?.abort();
    this.#drop(new Set([id]));
    // If it does not get there: what nobody sends is deleted after a day.
    this.wire.request('DELETE', `/attachments/${id}`).catch(() => {});
    this.#next();
  }

  /** Their message is on its way. @param {string} place @returns {Parley.Attachment[]} */
  take(place) {
    const taken = this.at(place).flatMap((one) => (one.done ? [one.done] : []));
    this.#drop(new Set(taken.map((one) => one.id)));
    return taken;
  }

  #next() {
    if (this.running.size > 0 || this.timer !== null) return;
    const upload = this.all.value.find((one) => one.state === 'waiting');
    if (!upload) return;
    const stop = new AbortController();
    this.running.set(upload.id, stop);
    void this.#send(upload, stop.signal).finally(() => {
      this.running.delete(upload.id);
      this.#next();
    });
  }

  /** @param {Parley.Upload} upload @param {AbortSignal} stop */
  async #send(upload, stop) {
    const { id } = upload;
    try {
      this.#change(id, { state: 'sending', error: '' });
      await this.#parts(upload, stop);
      if (stop.aborted) return;
      this.#change(id, { state: 'checking', sent: upload.size });
      const done = await this.wire.request('POST', `/attachments/${id}/complete`);
      this.pauseMs = FIRST_PAUSE_MS;
      this.#change(id, { state: 'ready', done });
    } catch (error) {
      if (!stop.aborted) this.#broke(id, error);
    }
  }

  /** @param {Parley.Upload} upload @param {AbortSignal} stop */
  async #parts({ id, conversation, name, size, file }, stop) {
    const { stored, parts, part_bytes: bytes } = await this.wire.request(
      'POST', `/conversations/${conversation}/attachments`, { id, name, size },
    );
    for (let part = 0; part < parts && !stop.aborted; part += 1) {
      const before = part * bytes;
      this.#change(id, { sent: Math.min(before, size) });
      if (stored.includes(part)) continue;
      const slice = file.slice(before, before + bytes);
      await this.wire.put(`/attachments/${id}/parts/${part}`, slice, (sent) => this.#change(id, { sent: before + sent }), stop);
      this.pauseMs = FIRST_PAUSE_MS;
    }
  }

  /** @param {string} id @param {unknown} error */
  #broke(id, error) {
    const { message } = /** @type {Error} */ (error);
    const again = error instanceof NetworkError || (error instanceof ApiError && error.retry);
    if (!again) {
      this.#change(id, { state: 'failed', error: message });
      return;
    }
    this.#change(id, { state: 'waiting', error: error instanceof NetworkError ? '' : message });
    this.timer = this.clock.setTimeout(() => {
      this.timer = null;
      this.#next();
    }, this.pauseMs);
    this.pauseMs = Math.min(LONGEST_PAUSE_MS, this.pauseMs * 2);
  }

  /** @param {string} id @param {Partial<Parley.Upload>} change */
  #change(id, change) {
    this.all.value = this.all.value.map((one) => (one.id === id ? { ...one, ...change } : one));
  }

  /** @param {Set<string>} ids */
  #drop(ids) {
    this.all.value = this.all.value.filter((one) => !ids.has(one.id));
  }
}
