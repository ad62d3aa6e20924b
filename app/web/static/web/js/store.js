/**
 * What the page knows: people, conversations, their unread counts, who is typing.
 * Signals only; nothing here asks the network. Timelines are in `timeline.js`.
 */

import { computed, signal } from '../vendor/signals-core.js';

const TYPING_MS = 5_000;

/** @typedef {'loading' | 'ready' | 'error'} Status */

export class Store {
  /**
   * @param {Parley.Me} me
   * @param {() => number} now milliseconds
   */
  constructor(me, now = () => Date.now()) {
    this.me = me;
    this.now = now;
    this.status = signal(/** @type {Status} */ ('loading'));
    this.people = signal(/** @type {Map<string, Parley.Person>} */ (new Map()));
    this.conversations = signal(/** @type {Map<string, Parley.Conversation>} */ (new Map()));
    this.members = signal(/** @type {Map<string, Parley.Member[]>} */ (new Map()));
    /** Who is there: what is not known is not shown. */
    this.presence = signal(/** @type {Map<string, Parley.Presence>} */ (new Map()));
    this.typing = signal(/** @type {Map<string, Map<string, number>>} */ (new Map()));
    /** @type {Map<string, number[]>} others' messages that came since, above the read mark */
    this.arrivals = new Map();

    this.joined = computed(() => this.#listed((one) => one.member && one.kind !== 'direct', byName));
    this.direct = computed(() => this.#listed((one) => one.member && one.kind === 'direct', byLast));
    this.joinable = computed(() => this.#listed((one) => !one.member && one.kind === 'public', byName));
    this.unread = computed(() => [...this.joined.value, ...this.direct.value].reduce((sum, one) => sum + one.unread, 0));
    this.names = computed(() => [...this.people.value.values()].map((person) => person.display_name));
  }

  /** @param {(one: Parley.Conversation) => boolean} wanted @param {(one: any, other: any) => number} order */
  #listed(wanted, order) {
    return [...this.conversations.value.values()].filter(wanted)
      .map((one) => ({ ...one, title: this.title(one) })).sort(order);
  }

  /** @param {string} id */
  conversation(id) {
    return this.conversations.value.get(id) ?? null;
  }

  /** @param {string} id @returns {string} */
  name(id) {
    if (id === this.me.id) return this.people.value.get(id)?.display_name ?? this.me.display_name;
    return this.people.value.get(id)?.display_name ?? 'Someone who has left';
  }

  /** @param {Parley.Conversation} conversation */
  title(conversation) {
    if (conversation.kind !== 'direct') return conversation.name;
    const others = (conversation.people ?? []).filter((id) => id !== this.me.id);
    if (others.length === 0) return `${this.name(this.me.id)} (you)`;
    const names = others.map((id) => this.name(id));
    return others.length === 1 ? /** @type {string} */ (names[0]) : names.map(firstName).join(', ');
  }

  /** @param {Parley.Person[]} people */
  setPeople(people) {
    this.people.value = new Map(people.map((person) => [person.id, person]));
  }

  /** @param {Parley.Conversation[]} list */
  setConversations(list) {
    this.conversations.value = new Map(list.map((one) => [one.id, one]));
    this.arrivals.clear();
    this.status.value = 'ready';
  }

  /** @param {Parley.Conversation} conversation */
  putConversation(conversation) {
    this.conversations.value = new Map(this.conversations.value).set(conversation.id, conversation);
    this.arrivals.delete(conversation.id);
  }

  /** @param {string} id @param {Partial<Parley.Conversation>} change */
  changeConversation(id, change) {
    const known = this.conversation(id);
    if (known) this.conversations.value = new Map(this.conversations.value).set(id, { ...known, ...change });
  }

  /** @param {string} id */
  dropConversation(id) {
    const rest = new Map(this.conversations.value);
    rest.delete(id);
    this.conversations.value = rest;
  }

  /** @param {string} id @param {Parley.Member[]} members */
  setMembers(id, members) {
    this.members.value = new Map(this.members.value).set(id, members);
  }

  /**
   * A message came into a conversation.
   * @param {string} id
   * @param {{author: string, offset: number, at: string, thread: string | null}} message
   */
  arrived(id, { author, offset, at, thread }) {
    const known = this.conversation(id);
    if (!known) return;
    this.#stopTyping(id, author);
    if (thread) return; // a reply is unread in its thread alone
    if (author === this.me.id || offset <= known.read || offset <= known.position.offset) {
      return this.changeConversation(id, { last_at: at });
    }
    this.arrivals.set(id, [...(this.arrivals.get(id) ?? []), offset]);
    this.changeConversation(id, { last_at: at, unread: known.unread + 1 });
  }

  /**
   * @param {string} id
   * @param {number} offset everything up to it is read
   * @param {number} unread as the server counted, maybe before the last arrivals
   */
  readMoved(id, offset, unread) {
    const known = this.conversation(id);
    if (!known || offset < known.read) return;
    const later = (this.arrivals.get(id) ?? []).filter((one) => one > offset);
    this.arrivals.set(id, later);
    const left = Math.max(unread, later.length);
    this.changeConversation(id, { read: offset, unread: left, mentions: left === 0 ? 0 : known.mentions });
  }

  /** @param {Record<string, Parley.Presence>} users @param {boolean} whole nobody else is there */
  present(users, whole) {
    this.presence.value = new Map([...whole ? [] : this.presence.value, ...Object.entries(users)]);
  }

  /** @param {string} id @param {string} user */
  typed(id, user) {
    if (user === this.me.id) return;
    const here = new Map(this.typing.value.get(id)).set(user, this.now() + TYPING_MS);
    this.typing.value = new Map(this.typing.value).set(id, here);
  }

  /** Forgets those who stopped. @returns {boolean} whether somebody is typing somewhere */
  sweepTyping() {
    const now = this.now();
    let left = 0;
    let gone = 0;
    const next = new Map();
    for (const [id, users] of this.typing.value) {
      const still = new Map([...users].filter(([, until]) => until > now));
      gone += users.size - still.size;
      left += still.size;
      if (still.size > 0) next.set(id, still);
    }
    if (gone > 0) this.typing.value = next;
    return left > 0;
  }

  /** @param {string} id @param {string} user */
  #stopTyping(id, user) {
    const users = this.typing.value.get(id);
    if (!users?.has(user)) return;
    const rest = new Map(users);
    rest.delete(user);
    this.typing.value = new Map(this.typing.value).set(id, rest);
  }
}

/** @param {string} name */
export function firstName(name) {
  return name.split(/\s+/)[0] ?? name;
}

/** @param {string} name up to two letters for a face */
export function initials(name) {
  const words = name.split(/[\s-]+/).filter((word) => /[\p{L}\p{N}]/u.test(word));
  const picked = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return picked.map((word) => Array.from(word ?? '?')[0]?.toLocaleUpperCase() ?? '').join('') || '?';
}

/** @param {string} id one of the eight faces, always the same for a person */
export function face(id) {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.charCodeAt(0)) >>> 0;
  return sum % 8;
}

/** @param {{title: string}} one @param {{title: string}} other */
function byName(one, other) {
  return one.title.localeCompare(other.title);
}

/** @param {{last_at: string | null, title: string}} one @param {{last_at: string | null, title: string}} other */
function byLast(one, other) {
  return (other.last_at ?? '').localeCompare(one.last_at ?? '') || byName(one, other);
}
