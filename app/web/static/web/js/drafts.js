/**
 * What a person has begun to write, by conversation or thread, on this device only.
 * It survives a reload and is gone after signing out.
 */

const LONGEST = 40_000;

export class Drafts {
  /**
   * @param {Parley.KeyValue} storage
   * @param {string} user
   */
  constructor(storage, user) {
    this.storage = storage;
    this.prefix = `parley:draft:${user}:`;
  }

  /** @param {string} place a conversation's or a thread's id @returns {string} */
  read(place) {
    return this.storage.getItem(this.prefix + place) ?? '';
  }

  /**
   * @param {string} place
   * @param {string} text
   * @returns {boolean} false when the device has no room: typing must go on all the same
   */
  write(place, text) {
    try {
      if (text.trim()) this.storage.setItem(this.prefix + place, text.slice(0, LONGEST));
      else this.storage.removeItem(this.prefix + place);
      return true;
    } catch (error) {
      if (/** @type {any} */ (error)?.name === 'QuotaExceededError') return false;
      throw error;
    }
  }

  /** @returns {Set<string>} the places that have a draft */
  places() {
    return new Set(keys(this.storage, this.prefix).map((key) => key.slice(this.prefix.length)));
  }

  wipe() {
    for (const key of keys(this.storage, this.prefix)) this.storage.removeItem(key);
  }
}

/**
 * Removes what somebody else left on a shared device, drafts and unsent messages alike: their
 * session may have ended without them, and then nothing wiped it.
 * @param {Parley.KeyValue} storage
 * @param {string} user who is signed in now
 */
export function forgetOthers(storage, user) {
  for (const kind of ['draft', 'outbox']) {
    for (const key of keys(storage, `parley:${kind}:`)) {
      if (!key.startsWith(`parley:${kind}:${user}:`)) storage.removeItem(key);
    }
  }
}

/**
 * @param {Parley.KeyValue} storage
 * @param {string} prefix
 * @returns {string[]}
 */
export function keys(storage, prefix) {
  const found = [];
  for (let index = 0; index < storage.length; index += 1) {
    const key = storage.key(index);
    if (key?.startsWith(prefix)) found.push(key);
  }
  return found;
}
