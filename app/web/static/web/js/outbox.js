/**
 * What I have written and the server has not acknowledged. An entry is kept on this
 * device, under its own key, until its message is known to be committed; after a reload
 * or a reconnection it is sent again under the same id, so it arrives once. In each
 * conversation the order of writing is kept: one delivery at a time.
 */

import { keys } from './drafts.js';
import { signal } from '../vendor/signals-core.js';

const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 15_000;

/**
 * @typedef {object} Options
 * @property {Parley.KeyValue} storage
 * @property {string} user
 * @property {(entry: Parley.OutboxEntry) => Promise<Parley.Ack>} deliver rejects with `retry: false` when
 *   the server refused for good; with anything else the delivery is tried again
 * @property {(entry: Parley.OutboxEntry, ack: Parley.Ack) => void} onDelivered
 * @property {Parley.Clock} clock
 * @property {() => string} newId
 */

export class Outbox {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.prefix = `parley:outbox:${options.user}:`;
    /** In the order of writing. */
    this.entries = signal(this.#stored());
    /** @type {Set<string>} */
    this.busy = new Set();
    /** @type {Map<string, {attempts: number, timer: any}>} */
    this.pauses = new Map();
  }

  /**
   * @param {{conversation: string, thread: string | null, body: string, attachments?: Parley.Attachment[]}} message
   * @returns {Parley.OutboxEntry}
   */
  add({ conversation, thread, body, attachments = [] }) {
    const last = this.entries.value.at(-1)?.at ?? 0;
    // Strictly later than the one before, because the stored order is the order of time.
    const at = Math.max(this.options.clock.now(), last + 1);
    /** @type {Parley.OutboxEntry} */
    const entry = { id: this.options.newId(), conversation, thread, body, attachments, at, state: 'sending', error: '' };
    this.#store(entry);
    this.entries.value = [...this.entries.value, entry];
    this.#next(conversation);
    return entry;
  }

  /** The connection is back, or it is the start: whatever waits is sent. */
  flush() {
    for (const { timer } of this.pauses.values()) this.options.clock.clearTimeout(timer);
    this.pauses.clear();
    for (const conversation of new Set(this.entries.value.map((entry) => entry.conversation))) this.#next(conversation);
  }

  /** @param {string} id of an entry that failed */
  retry(id) {
    this.#change(id, { state: 'sending', error: '' });
    const entry = this.entries.value.find((one) => one.id === id);
    if (entry) this.#next(entry.conversation);
  }

  /** It is in the conversation (its event came), or its writer threw it away. @param {string} id */
  remove(id) {
    if (!this.entries.value.some((entry) => entry.id === id)) return;
    this.options.storage.removeItem(this.prefix + id);
    this.entries.value = this.entries.value.filter((entry) => entry.id !== id);
  }

  /** Forget everything on this device, sent or not. */
  wipe() {
    for (const key of keys(this.options.storage, this.prefix)) this.options.storage.removeItem(key);
    this.entries.value = [];
  }

  /** @param {string} conversation */
  #next(conversation) {
    if (this.busy.has(conversation) || this.pauses.get(conversation)?.timer) return;
    const entry = this.entries.value.find((one) => one.conversation === conversation && one.state === 'sending');
    if (!entry) return;
    this.busy.add(conversation);
    void this.#deliver(entry).finally(() => {
      this.busy.delete(conversation);
      this.#next(conversation);
    });
  }

  /** @param {Parley.OutboxEntry} entry */
  async #deliver(entry) {
    try {
      const ack = await this.options.deliver(entry);
      this.pauses.delete(entry.conversation);
      this.options.onDelivered(entry, ack);
      this.remove(entry.id);
    } catch (error) {
      const { retry, message } = /** @type {any} */ (error);
      if (retry === false) this.#change(entry.id, { state: 'failed', error: String(message) });
      else this.#pause(entry.conversation);
    }
  }

  /** @param {string} conversation */
  #pause(conversation) {
    const attempts = (this.pauses.get(conversation)?.attempts ?? 0) + 1;
    const ms = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempts - 1));
    const timer = this.options.clock.setTimeout(() => {
      this.pauses.set(conversation, { attempts, timer: null });
      this.#next(conversation);
    }, ms);
    this.pauses.set(conversation, { attempts, timer });
  }

  /**
   * @param {string} id
   * @param {Partial<Parley.OutboxEntry>} change
   */
  #change(id, change) {
    this.entries.value = this.entries.value.map((entry) => {
      if (entry.id !== id) return entry;
      const changed = { ...entry, ...change };
      this.#store(changed);
      return changed;
    });
  }

  /** @param {Parley.OutboxEntry} entry */
  #store(entry) {
    try {
      this.options.storage.setItem(this.prefix + entry.id, JSON.stringify(entry));
    } catch (error) {
      // No room on the device: it still goes out, it would only not survive a reload.
      if (/** @type {any} */ (error)?.name !== 'QuotaExceededError') throw error;
    }
  }

  /** @returns {Parley.OutboxEntry[]} */
  #stored() {
    const { storage } = this.options;
    return keys(storage, this.prefix)
      .map((key) => /** @type {Parley.OutboxEntry} */ (JSON.parse(storage.getItem(key) ?? 'null')))
      .filter(Boolean)
      .sort((one, other) => one.at - other.at);
  }
}
