/** What a person can do on the conversation page, each as one call. Errors are thrown to the caller. */

import { newId } from './ids.js';
import { TYPING_SECONDS } from './protocol.js';
import { reacted } from './timeline.js';

/**
 * @param {Parley.Session} session
 * @param {string} conversation
 * @param {string | null} thread
 * @param {string} body may be empty where there are files
 * @param {Parley.Attachment[]} [attachments]
 */
export function sendMessage(session, conversation, thread, body, attachments = []) {
  const timeline = session.timeline(conversation, thread);
  // Writing while looking at old messages: one's own line belongs at the end, so go there.
  if (!timeline.atEnd.value) void timeline.loadLatest();
  return session.outbox.add({ conversation, thread, body, attachments });
}

/**
 * @param {Parley.Session} session
 * @param {Parley.Message} message as the editor saw it
 * @param {string} body
 */
export async function editMessage(session, message, body) {
  const ack = await session.api.call('PATCH', `/messages/${message.id}`, { body, revision: message.revision });
  forEachTimeline(session, message.id, (timeline) => timeline.change(message.id, (now) => (
    now.revision >= ack.revision ? now : { ...now, body, revision: ack.revision, edited_at: ack.at, log: null }
  )));
}

/**
 * @param {Parley.Session} session
 * @param {string} query words, "phrases" and filters
 * @param {string | null} next of an earlier answer
 * @returns {Promise<Parley.Found>}
 */
export function searchMessages(session, query, next) {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return session.api.post('/search', { query, zone, ...(next ? { next } : {}) });
}

/** @param {Parley.Session} session @param {Parley.Message} message */
export async function deleteMessage(session, message) {
  await session.api.call('DELETE', `/messages/${message.id}`);
  const at = new Date().toISOString();
  forEachTimeline(session, message.id, (timeline) => timeline.change(message.id, (now) => (
    now.deleted_at ? now : { ...now, body: null, deleted_at: at, attachments: [], reactions: [], log: null }
  )));
}

/**
 * Shows at once, and takes it back when the server refuses.
 * @param {Parley.Session} session
 * @param {Parley.Message} message
 * @param {string} emoji
 */
export async function toggleReaction(session, message, emoji) {
  const me = session.me.id;
  const on = !message.reactions.some((one) => one.emoji === emoji && one.users.includes(me));
  const set = (/** @type {boolean} */ value) => forEachTimeline(session, message.id, (timeline) => timeline.change(
    message.id, (now) => ({ ...now, reactions: reacted(now.reactions, emoji, me, value) }),
  ));
  set(on);
  try {
    await session.api.call(on ? 'PUT' : 'DELETE', `/messages/${message.id}/reactions/${encodeURIComponent(emoji)}`);
  } catch (error) {
    set(!on);
    throw error;
  }
}

/** @param {Parley.Session} session @param {string} conversation @param {number} offset */
export function markRead(session, conversation, offset) {
  const known = session.store.conversation(conversation);
  if (!known || offset <= known.read) return;
  session.store.readMoved(conversation, offset, 0);
  void session.sendRead(conversation, offset);
}

/** @type {WeakMap<Parley.Session, number>} */
const typedAt = new WeakMap();

/** @param {Parley.Session} session @param {string} conversation */
export function tellTyping(session, conversation) {
  const now = session.clock.now();
  if (now - (typedAt.get(session) ?? 0) < TYPING_SECONDS * 1000 || !session.connection.ready) return;
  typedAt.set(session, now);
  // Nobody waits for it and nothing depends on it.
  session.connection.request('typing', { conversation }).catch(() => {});
}

/**
 * @param {Parley.Session} session
 * @param {{kind: string, name?: string, topic?: string, members: string[]}} wanted
 * @returns {Promise<Parley.Conversation>}
 */
export async function startConversation(session, { kind, name = '', topic = '', members }) {
  const made = await session.api.post('/conversations', { id: newId(), kind, name, topic, members });
  return session.refreshConversation(made.id);
}

/** @param {Parley.Session} session @param {string} id */
export async function joinConversation(session, id) {
  await session.api.post(`/conversations/${id}/join`);
  await session.refreshConversation(id);
  if (session.active.value === id) session.show(id);
}

/** @param {Parley.Session} session @param {string} id */
export async function leaveConversation(session, id) {
  await session.api.post(`/conversations/${id}/leave`);
  await session.refreshConversation(id);
}

/** @param {Parley.Session} session @param {string} id @param {{name?: string, topic?: string}} change */
export async function changeConversation(session, id, change) {
  await session.api.call('PATCH', `/conversations/${id}`, change);
  await session.refreshConversation(id);
}

/** @param {Parley.Session} session @param {string} id @param {string} user */
export async function addMember(session, id, user) {
  await session.api.post(`/conversations/${id}/members`, { user });
  await session.loadMembers(id);
}

/** @param {Parley.Session} session @param {string} id @param {string} user */
export async function removeMember(session, id, user) {
  await session.api.call('DELETE', `/conversations/${id}/members/${user}`);
  await session.loadMembers(id);
}

/** @param {Parley.Session} session @param {string} message @returns {Promise<Parley.Receipt>} */
export function loadReceipt(session, message) {
  return session.api.get(`/messages/${message}/receipt`);
}

/** @param {Parley.Session} session @param {string} message @returns {Promise<Parley.Version[]>} */
export async function loadVersions(session, message) {
  return (await session.api.get(`/messages/${message}/versions`)).versions;
}

/**
 * Finds a message by its permalink and loads what surrounds it.
 * @param {Parley.Session} session
 * @param {string} conversation
 * @param {string} id
 * @returns {Promise<Parley.Message>}
 */
export async function loadPermalink(session, conversation, id) {
  const timeline = session.timeline(conversation);
  const here = timeline.messages.value.find((message) => message.id === id);
  if (here) return here;
  /** @type {Parley.Message} */
  const message = await session.api.get(`/messages/${id}`);
  if (message.conversation === conversation && !message.thread) await timeline.loadAround(message.offset);
  return message;
}

/**
 * @param {Parley.Session} session
 * @param {string} message
 * @param {(timeline: Parley.Timeline) => void} task
 */
function forEachTimeline(session, message, task) {
  for (const timeline of session.timelines.values()) {
    if (timeline.messages.value.some((one) => one.id === message)) task(timeline);
  }
}
