/**
 * One signed-in person's page: wires REST, socket, streams, store and outbox together.
 * It has no DOM; the commands that the interface gives are in `commands.js`.
 */

import { Api, ApiError, messagesQuery } from './api.js';
import { Connection, systemClock } from './connection.js';
import { Drafts } from './drafts.js';
import { newId } from './ids.js';
import { Outbox } from './outbox.js';
import { Close, Code, Refused, conversationStream, encode, fits, presenceStream, userStream } from './protocol.js';
import { Store } from './store.js';
import { Calls } from './voice/calls.js';
import { Streams } from './streams.js';
import { PAGE, Timeline } from './timeline.js';
import { Uploads } from './uploads.js';
import { batch, signal } from '../vendor/signals-core.js';

const PRELOADED = 20;
const LOG_CHECK_MS = 4_000;
const KEPT_WHEN_LEFT = 150;

/**
 * @typedef {object} Options
 * @property {Parley.Me} me
 * @property {Api} api
 * @property {() => Parley.SocketLike} openSocket
 * @property {Parley.KeyValue} storage
 * @property {Parley.Clock} [clock]
 * @property {Partial<Parley.Voice.CallOptions>} [calls] a test's own engine and devices
 */

export class Session {
  /** @param {Options} options */
  constructor({ me, api, openSocket, storage, clock = systemClock, calls = {} }) {
    this.me = me;
    this.api = api;
    this.clock = clock;
    this.store = new Store(me, () => clock.now());
    this.drafts = new Drafts(storage, me.id);
    this.active = signal(/** @type {string | null} */ (null));
    /** The newest message of somebody else in the open conversation, for the live region. */
    this.heard = signal(/** @type {Parley.Message | null} */ (null));
    this.startError = signal('');
    /** @type {Map<string, Timeline>} */
    this.timelines = new Map();
    /** @type {Map<string, number>} read marks that the server does not have yet */
    this.unsentReads = new Map();
    /** @type {'active' | 'away'} */
    this.presence = 'active';
    /** @type {Set<string>} */
    this.unloggedBefore = new Set();
    this.connection = new Connection({
      clock,
      ticket: async () => (await api.post('/realtime/ticket')).ticket,
      open: openSocket,
      onEvent: (frame) => this.streams.received(frame),
      onControl: (op, d) => { if (op === 'resync') this.streams.lost(d.s); },
      onState: (state) => this.#connectionChanged(state),
      onReady: () => this.#ready(),
    });
    this.link = signal(this.connection.state);
    this.streams = new Streams({
      request: (op, d) => this.connection.request(op, d),
      onEvent: (frame) => this.#happened(frame),
      onLost: (name) => void this.#reload(name),
      onFresh: (name) => {
        if (name === userStream(me.id)) void this.#loadLists();
        else if (name.startsWith('voice:')) this.calls.reload(name);
      },
      onRefused: (name, code) => { if (code === Code.NOT_FOUND) void this.#loadLists(); },
    });
    this.calls = new Calls({
      me, api, clock, storage, streams: this.streams, ...calls,
      request: (op, d) => this.connection.request(op, d), online: () => this.connection.ready,
    });
    this.uploads = new Uploads({
      clock, newId,
      wire: {
        request: (method, path, data) => api.slowly(method, path, data),
        put: (path, part, sent, stop) => api.put(path, part, sent, stop),
      },
    });
    this.outbox = new Outbox({
      storage, clock, newId, user: me.id,
      deliver: (entry) => this.#deliver(entry),
      onDelivered: (entry, ack) => this.#delivered(entry, ack),
    });
  }

  /** Loads what the page shows first, connects, and sends what is still unsent. */
  async start() {
    this.streams.follow(userStream(this.me.id), null);
    this.streams.follow(presenceStream(this.me.organization.id), null);
    this.connection.start();
    await this.#loadLists();
    this.outbox.flush();
    this.#checkLogLater();
    void this.#preload();
  }

  /** @param {string} conversation @param {string | null} thread */
  timeline(conversation, thread = null) {
    const key = thread ?? conversation;
    let timeline = this.timelines.get(key);
    if (!timeline) {
      timeline = new Timeline(conversation, thread, ({ before, after }) => this.api.get(
        `/conversations/${conversation}/messages?${messagesQuery(before, PAGE, { ...(after === undefined ? {} : { after }), ...(thread ? { thread } : {}) })}`,
      ));
      this.timelines.set(key, timeline);
    }
    return timeline;
  }

  /** Loads a conversation's newest messages unless they are in memory. @param {string} conversation */
  async warm(conversation) {
    const timeline = this.timeline(conversation);
    if (timeline.status.value === 'empty' || timeline.status.value === 'error') await timeline.loadLatest();
  }

  /** @param {string | null} conversation @param {boolean} warm load its newest messages */
  show(conversation, warm = true) {
    const before = this.active.value;
    if (before && before !== conversation) this.timelines.get(before)?.trim(KEPT_WHEN_LEFT);
    this.active.value = conversation;
    this.calls.watch(conversation);
    if (warm && conversation && this.store.conversation(conversation)?.member) void this.warm(conversation);
  }

  async #loadLists() {
    try {
      const [people, conversations] = await Promise.all([this.api.get('/people'), this.api.get('/conversations')]);
      batch(() => {
        this.store.setPeople(people.people);
        this.store.setConversations(conversations.conversations);
        this.startError.value = '';
      });
      this.#followAll();
    } catch (error) {
      if (this.store.status.value === 'ready') return; // what is on the page stays; the next reconnection asks again
      this.store.status.value = 'error';
      this.startError.value = /** @type {Error} */ (error).message;
    }
  }

  /** After an error at the start. */
  async restart() {
    this.store.status.value = 'loading';
    await this.#loadLists();
    if (this.active.value) this.show(this.active.value);
  }

  #followAll() {
    const mine = [...this.store.joined.value, ...this.store.direct.value];
    for (const one of mine) this.streams.follow(conversationStream(one.id), one.position);
  }

  async #preload() {
    for (const one of [...this.store.direct.value, ...this.store.joined.value].slice(0, PRELOADED)) await this.warm(one.id);
  }

  /** @param {string} id loads one conversation again and follows it if it is mine */
  async refreshConversation(id) {
    try {
      const conversation = await this.api.get(`/conversations/${id}`);
      this.store.putConversation(conversation);
      if (conversation.member) this.streams.follow(conversationStream(id), conversation.position);
      return conversation;
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) throw error;
      this.#gone(id);
      return null;
    }
  }

  /** @param {string} id */
  #gone(id) {
    this.calls.removed(id);
    this.streams.leave(conversationStream(id));
    this.timelines.delete(id);
    this.store.dropConversation(id);
  }

  // The connection.

  /** @param {Parley.ConnectionState} state */
  #connectionChanged(state) {
    if (state.phase !== 'ready' && state.phase !== 'connecting') {
      this.streams.disconnected();
      this.calls.disconnected();
      this.store.present({}, true);
    }
    if (state.phase === 'stopped' && this.calls.room.place.value) this.calls.room.over('revoked', null);
    this.link.value = state;
  }

  #ready() {
    const first = this.active.value;
    this.streams.resume([userStream(this.me.id), ...(first ? [conversationStream(first)] : [])]);
    if (this.store.status.value === 'error') void this.restart();
    if (first && this.timeline(first).status.value === 'error') void this.warm(first);
    this.outbox.flush();
    this.uploads.resume();
    this.tellPresence(this.presence);
    this.calls.connected();
    for (const [conversation, offset] of this.unsentReads) void this.sendRead(conversation, offset);
  }

  /** @param {'active' | 'away'} state how the others see this person; the socket's end takes it back */
  tellPresence(state) {
    this.presence = state;
    // Told again with the next connection.
    if (this.connection.ready) this.connection.request('presence', { state }).catch(() => {});
  }

  /** @param {string} conversation @param {number} offset */
  async sendRead(conversation, offset) {
    this.unsentReads.set(conversation, offset);
    try {
      await this.connection.request('read', { conversation, offset });
    } catch (error) {
      // Not lost: it is told again with the next connection.
      if (!(error instanceof Refused)) return;
    }
    if (this.unsentReads.get(conversation) === offset) this.unsentReads.delete(conversation);
  }

  // Sending.

  /** @param {Parley.OutboxEntry} entry @returns {Promise<Parley.Ack>} */
  async #deliver({ id, conversation, thread, body, attachments }) {
    const files = attachments?.length ? { attachments: attachments.map((file) => file.id) } : {};
    const send = { conversation, id, body, ...(thread ? { thread } : {}), ...files };
    if (this.connection.ready && fits(encode(Number.MAX_SAFE_INTEGER, 'send', send))) {
      return this.connection.request('send', send);
    }
    // Too large for a frame, or a network that lets no socket through.
    try {
      return await this.api.post(`/conversations/${conversation}/messages`, { id, body, ...(thread ? { thread } : {}), ...files });
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) this.connection.wake();
      throw error instanceof ApiError && error.status === 401 ? new Error('signed out') : error;
    }
  }

  /** @param {Parley.OutboxEntry} entry @param {Parley.Ack} ack */
  #delivered(entry, ack) {
    const timeline = this.timelines.get(entry.thread ?? entry.conversation);
    timeline?.confirm({
      id: entry.id, conversation: entry.conversation, author: this.me.id, body: entry.body, at: ack.at,
      offset: ack.offset, revision: ack.revision, edited_at: null, deleted_at: null, thread: entry.thread,
      replies: null, attachments: entry.attachments ?? [], reactions: [], log: null,
    });
  }

  // Events.

  /** @param {Parley.EventFrame} frame */
  #happened(frame) {
    if (frame.s === userStream(this.me.id)) return this.#mine(frame);
    if (frame.t === 'presence') return this.store.present(frame.d.users, frame.d.whole);
    if (frame.s.startsWith('voice:')) return this.calls.happened(frame);
    const id = frame.s.slice('conversation:'.length);
    batch(() => {
      for (const timeline of this.timelines.values()) {
        if (timeline.conversation === id) timeline.apply(frame);
      }
      this.#conversation(id, frame);
    });
  }

  /** @param {string} id @param {Parley.EventFrame} frame */
  #conversation(id, { t, d, o }) {
    switch (t) {
      case 'message.created':
        this.outbox.remove(d.id);
        this.store.arrived(id, { author: d.author, offset: o ?? 0, at: d.at, thread: d.thread ?? null });
        if (d.author !== this.me.id && id === this.active.value) this.heard.value = d;
        if (!this.store.people.value.has(d.author)) void this.#loadLists();
        break;
      case 'typing': this.store.typed(id, d.user); break;
      case 'member.joined': case 'member.left': case 'conversation.changed':
        void this.refreshConversation(id);
        if (this.store.members.value.has(id)) void this.loadMembers(id);
        break;
      default: // a message's own events: its timeline has them
    }
  }

  /** @param {Parley.EventFrame} frame */
  #mine({ t, d }) {
    if (t === 'conversation.added') void this.refreshConversation(d.conversation);
    else if (t === 'conversation.removed') {
      this.streams.leave(conversationStream(d.conversation));
      this.timelines.delete(d.conversation);
      this.calls.removed(d.conversation);
      void this.refreshConversation(d.conversation);
    } else if (t === 'voice.summoned') this.calls.summoned(d);
    else if (t === 'read.moved') this.store.readMoved(d.conversation, d.offset, d.unread);
  }

  /** @param {string} id */
  async loadMembers(id) {
    this.store.setMembers(id, (await this.api.get(`/conversations/${id}/members`)).members);
  }

  /** The stream cannot be continued: load its state, then go on from there. @param {string} name */
  async #reload(name) {
    try {
      if (name === userStream(this.me.id) || name === presenceStream(this.me.organization.id)) {
        this.streams.leave(name);
        this.streams.follow(name, null);
        return;
      }
      if (name.startsWith('voice:')) return this.calls.reload(name);
      const id = name.slice('conversation:'.length);
      const conversation = await this.refreshConversation(id);
      if (!conversation?.member) return;
      const stale = [...this.timelines.values()].filter((one) => one.conversation === id && one.status.value !== 'empty');
      await Promise.all(stale.map((timeline) => timeline.loadLatest()));
      this.streams.reset(name, conversation.position);
    } catch {
      // No network, or a server in trouble: the page says so, and this is tried again.
      this.clock.setTimeout(() => void this.#reload(name), 3_000);
    }
  }

  /** A hint that a message is in the log may be lost: what stays without one is asked for. */
  #checkLogLater() {
    this.clock.setTimeout(() => {
      void this.#checkLog().finally(() => this.#checkLogLater());
    }, LOG_CHECK_MS);
  }

  async #checkLog() {
    const timeline = this.active.value ? this.timelines.get(this.active.value) : null;
    const waiting = timeline?.messages.value.filter((message) => !message.log) ?? [];
    const old = waiting.filter((message) => this.unloggedBefore.has(message.id));
    this.unloggedBefore = new Set(waiting.map((message) => message.id));
    const last = old.at(-1);
    if (timeline && last && this.connection.ready) await timeline.refresh(last.offset);
  }

  /** Why the connection was given up, in words. @param {number} code */
  static stopReason(code) {
    if (code === Close.VERSION) return 'version';
    if (code === Close.TOO_MANY) return 'windows';
    return 'signed-out';
  }
}
