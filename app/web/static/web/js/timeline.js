/**
 * The messages of one conversation, or of one thread in it, as far as they are loaded.
 *
 * Pages come by REST, each as of a position; events come by the stream. Both orders of
 * arrival end in the same state: an event that a page counts already is not applied to
 * that page's messages, and an event that came while a page was on its way is applied after it.
 */

import { batch, signal } from '../vendor/signals-core.js';

/** @typedef {'empty' | 'loading' | 'ready' | 'error'} Status */
/** @typedef {{before?: number, after?: number}} Window */

export const PAGE = 50;

export class Timeline {
  /**
   * @param {string} conversation
   * @param {string | null} thread
   * @param {(window: Window) => Promise<Parley.Page>} fetchPage
   */
  constructor(conversation, thread, fetchPage) {
    this.conversation = conversation;
    this.thread = thread;
    this.fetchPage = fetchPage;
    this.messages = signal(/** @type {Parley.Message[]} */ ([]));
    this.status = signal(/** @type {Status} */ ('empty'));
    this.error = signal('');
    /** Older messages exist that are not loaded. */
    this.more = signal(false);
    /** The newest message is loaded, so new ones may be appended. */
    this.atEnd = signal(true);
    this.loadingOlder = signal(false);
    /** @type {Map<string, number>} the stream's offset that a message's state counts */
    this.asOf = new Map();
    this.loads = 0;
    this.loadingNewer = false;
    /** Counts the times that everything is replaced: an answer of before comes too late. */
    this.generation = 0;
    /** @type {Parley.EventFrame[]} */
    this.meanwhile = [];
  }

  /** Loads the newest page, replacing what is there. */
  async loadLatest() {
    this.generation += 1;
    await this.#load({}, (page) => {
      this.#replace(page);
      this.more.value = page.more;
      this.atEnd.value = true;
    });
  }

  /** @param {number} offset loads what surrounds the message there, replacing what is loaded */
  async loadAround(offset) {
    this.generation += 1;
    await this.#load({ before: offset + 1 }, (page) => {
      this.#replace(page);
      this.more.value = page.more;
      this.atEnd.value = false;
    });
    if (this.status.value === 'ready') await this.loadNewer();
  }

  async loadOlder() {
    const first = this.messages.value[0];
    if (!first || !this.more.value || this.loadingOlder.value) return;
    this.loadingOlder.value = true;
    await this.#load({ before: first.offset }, (page) => {
      this.#merge(page);
      this.more.value = page.more;
    });
    this.loadingOlder.value = false;
  }

  async loadNewer() {
    const last = this.messages.value.at(-1);
    if (!last || this.atEnd.value || this.loadingNewer) return;
    this.loadingNewer = true;
    await this.#load({ after: last.offset }, (page) => {
      this.#merge(page);
      this.atEnd.value = !page.more;
    });
    this.loadingNewer = false;
  }

  /** Asks again for a page that ends at `offset`, for what no event will tell. @param {number} offset */
  async refresh(offset) {
    await this.#load({ before: offset + 1 }, (page) => {
      const known = new Set(this.messages.value.map((message) => message.id));
      this.#merge({ ...page, messages: page.messages.filter((message) => known.has(message.id)) });
    });
  }

  /** @param {Parley.EventFrame} frame of this conversation's stream */
  apply(frame) {
    if (this.loads > 0) this.meanwhile.push(frame);
    if (this.status.value !== 'ready') return;
    const messages = applied(this.messages.value, frame, this);
    if (messages !== this.messages.value) this.messages.value = messages;
  }

  /**
   * My own message was acknowledged: it stands in the log now, whether or not its event came.
   * @param {Parley.Message} message
   */
  confirm(message) {
    if (this.status.value !== 'ready' || !this.atEnd.value) return;
    if (!this.messages.value.some((one) => one.id === message.id)) {
      this.messages.value = sorted([...this.messages.value, message]);
    }
  }

  /** @param {string} id @param {(message: Parley.Message) => Parley.Message} change at once, before the server says so */
  change(id, change) {
    this.messages.value = changed(this.messages.value, id, change);
  }

  /** Forgets the oldest beyond `keep`, so that a long day does not slow the page. @param {number} keep */
  trim(keep) {
    if (this.messages.value.length <= keep || this.loads > 0) return;
    this.messages.value = this.messages.value.slice(-keep);
    this.more.value = true;
  }

  /**
   * @param {Window} window
   * @param {(page: Parley.Page) => void} use
   */
  async #load(window, use) {
    if (this.status.value !== 'ready') this.status.value = 'loading';
    this.loads += 1;
    const { generation } = this;
    try {
      const page = await this.fetchPage(window);
      if (generation !== this.generation) return;
      batch(() => {
        use(page);
        this.#replay(page.position.offset);
        this.status.value = 'ready';
        this.error.value = '';
      });
    } catch (error) {
      this.error.value = /** @type {Error} */ (error).message;
      if (this.status.value === 'loading') this.status.value = 'error';
    } finally {
      this.loads -= 1;
      if (this.loads === 0) this.meanwhile = [];
    }
  }

  /** @param {number} offset the page's */
  #replay(offset) {
    for (const frame of this.meanwhile) {
      if (frame.o === undefined || frame.o > offset) {
        this.messages.value = applied(this.messages.value, frame, this);
      }
    }
  }

  /** @param {Parley.Page} page */
  #replace(page) {
    this.asOf.clear();
    this.messages.value = [];
    this.#merge(page);
  }

  /** @param {Parley.Page} page */
  #merge(page) {
    const fresh = page.messages.filter((message) => (message.thread ?? null) === this.thread || message.id === this.thread);
    for (const message of fresh) this.asOf.set(message.id, page.position.offset);
    const ids = new Set(fresh.map((message) => message.id));
    this.messages.value = sorted([...this.messages.value.filter((message) => !ids.has(message.id)), ...fresh]);
  }
}

/** @param {Parley.Message[]} messages */
function sorted(messages) {
  return messages.sort((one, other) => one.offset - other.offset);
}

/**
 * @param {Parley.Message[]} messages
 * @param {string} id
 * @param {(message: Parley.Message) => Parley.Message} change
 * @returns {Parley.Message[]} the same list when the message is not in it
 */
function changed(messages, id, change) {
  const index = messages.findIndex((message) => message.id === id);
  const message = messages[index];
  return message ? messages.with(index, change(message)) : messages;
}

/**
 * @param {Parley.Message[]} messages
 * @param {Parley.EventFrame} frame
 * @param {Timeline} timeline
 * @returns {Parley.Message[]} the list after the event; the same one when it does not touch it
 */
export function applied(messages, frame, timeline) {
  const { t, d } = frame;
  if (t === 'log.sealed') return logged(messages, d.entries);
  const counted = (/** @type {string} */ id) => frame.o !== undefined && frame.o <= (timeline.asOf.get(id) ?? -1);
  if (t === 'message.created') return created(messages, frame, timeline, counted);
  if (typeof d.id !== 'string' || counted(d.id)) return messages;
  return changed(messages, d.id, (message) => touched(message, t, d));
}

/**
 * @param {Parley.Message[]} messages
 * @param {Parley.EventFrame} frame
 * @param {Timeline} timeline
 * @param {(id: string) => boolean} counted
 */
function created(messages, frame, timeline, counted) {
  const { d } = frame;
  const thread = d.thread ?? null;
  if (thread === timeline.thread) {
    if (!timeline.atEnd.value || messages.some((message) => message.id === d.id)) return messages;
    return sorted([...messages, fromCreated(timeline.conversation, /** @type {any} */ (frame))]);
  }
  if (!thread || counted(thread)) return messages;
  return changed(messages, thread, (root) => ({
    ...root, replies: { count: (root.replies?.count ?? 0) + 1, last_at: d.at },
  }));
}

/**
 * @param {string} conversation
 * @param {Parley.DurableFrame} frame
 * @returns {Parley.Message}
 */
export function fromCreated(conversation, { d, o }) {
  return {
    id: d.id, conversation, author: d.author, body: d.body, at: d.at, offset: o, revision: d.revision,
    edited_at: null, deleted_at: null, thread: d.thread ?? null, replies: null,
    attachments: d.attachments ?? [], reactions: [], log: null,
  };
}

/**
 * @param {Parley.Message} message
 * @param {string} type
 * @param {any} d
 * @returns {Parley.Message}
 */
function touched(message, type, d) {
  switch (type) {
    case 'message.edited':
      if (d.revision <= message.revision) return message;
      return { ...message, body: d.body, revision: d.revision, edited_at: d.at, log: null };
    case 'message.deleted':
      return { ...message, body: null, deleted_at: d.at, revision: d.revision ?? message.revision, attachments: [], reactions: [], log: null };
    case 'reaction.added': return { ...message, reactions: reacted(message.reactions, d.emoji, d.user, true) };
    case 'reaction.removed': return { ...message, reactions: reacted(message.reactions, d.emoji, d.user, false) };
    default: return message;
  }
}

/**
 * @param {Parley.Reaction[]} reactions
 * @param {string} emoji
 * @param {string} user
 * @param {boolean} on
 * @returns {Parley.Reaction[]}
 */
export function reacted(reactions, emoji, user, on) {
  const others = (reactions.find((one) => one.emoji === emoji)?.users ?? []).filter((one) => one !== user);
  const users = on ? [...others, user] : others;
  const known = reactions.some((one) => one.emoji === emoji);
  const next = known ? reactions.map((one) => (one.emoji === emoji ? { emoji, users } : one)) : [...reactions, { emoji, users }];
  return next.filter((one) => one.users.length > 0);
}

/**
 * @param {Parley.Message[]} messages
 * @param {[string, number][]} entries
 */
function logged(messages, entries) {
  let next = messages;
  // The first is the message's own; a reaction to it is an entry about it as well.
  for (const [id, index] of entries) next = changed(next, id, (message) => (message.log ? message : { ...message, log: { index } }));
  return next;
}
