/** A clock that only a test moves, a socket that only a test answers, and a storage. */

export class FakeClock {
  constructor() {
    this.time = 1_000_000;
    this.timers = [];
    this.serial = 0;
  }

  now() { return this.time; }

  setTimeout(task, ms) {
    const timer = { at: this.time + ms, task, id: (this.serial += 1) };
    this.timers.push(timer);
    return timer;
  }

  clearTimeout(timer) {
    this.timers = this.timers.filter((one) => one !== timer);
  }

  /** Moves on by `ms`, running what falls due, in order, with promises settled in between. */
  async pass(ms) {
    const end = this.time + ms;
    await settled();
    for (;;) {
      const next = this.timers.filter((one) => one.at <= end).sort((a, b) => a.at - b.at || a.id - b.id)[0];
      if (!next) break;
      this.timers = this.timers.filter((one) => one !== next);
      this.time = next.at;
      next.task();
      await settled();
    }
    this.time = end;
  }
}

/** Lets everything that is already resolved run. */
export async function settled() {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

export class FakeSocket {
  constructor() {
    this.sent = [];
    this.closed = null;
    this.onopen = this.onmessage = this.onclose = this.onerror = null;
  }

  send(data) { this.sent.push(JSON.parse(data)); }

  close(code) { this.closed = code; }

  opens() { this.onopen?.({}); }

  receives(frame) { this.onmessage?.({ data: JSON.stringify(frame) }); }

  /** The server, or the network, ends it. */
  ends(code) { this.onclose?.({ code }); }

  last(op) { return this.sent.findLast((frame) => frame.op === op); }

  answers(op, ok = {}) { this.receives({ id: this.last(op).id, ok }); }
}

export class FakeStorage {
  constructor() { this.map = new Map(); }

  get length() { return this.map.size; }

  key(index) { return [...this.map.keys()][index] ?? null; }

  getItem(key) { return this.map.get(key) ?? null; }

  setItem(key, value) { this.map.set(key, value); }

  removeItem(key) { this.map.delete(key); }
}
