/** A timeline as rows: messages with day separators, the "New" line, and grouping. */

import { dayKey } from './time.js';

const GROUP_MS = 5 * 60_000;

/**
 * @typedef {{kind: 'day', key: string, at: string | number}
 *   | {kind: 'new', key: string}
 *   | {kind: 'message', key: string, message: Parley.Message, grouped: boolean, last: boolean}
 *   | {kind: 'pending', key: string, entry: Parley.OutboxEntry, grouped: boolean}} Row
 */

/**
 * @param {Parley.Message[]} messages
 * @param {Parley.OutboxEntry[]} pending mine, not yet acknowledged
 * @param {object} options
 * @param {string} options.me
 * @param {number | null} options.newAfter the offset after which others' messages are new
 * @returns {Row[]}
 */
export function toRows(messages, pending, { me, newAfter }) {
  /** @type {Row[]} */
  const rows = [];
  let author = '';
  let at = 0;
  let day = '';
  let marked = newAfter === null;
  for (const message of messages) {
    const when = new Date(message.at).getTime();
    if (dayKey(when) !== day) {
      day = dayKey(when);
      rows.push({ kind: 'day', key: `day:${day}`, at: message.at });
      author = '';
    }
    if (!marked && message.offset > Number(newAfter) && message.author !== me) {
      marked = true;
      rows.push({ kind: 'new', key: 'new' });
      author = '';
    }
    const grouped = message.author === author && when - at < GROUP_MS;
    const before = rows.at(-1);
    if (grouped && before?.kind === 'message') before.last = false;
    rows.push({ kind: 'message', key: message.id, message, grouped, last: true });
    author = message.author;
    at = when;
  }
  const known = new Set(messages.map((message) => message.id));
  for (const entry of pending) {
    if (known.has(entry.id)) continue;
    if (dayKey(entry.at) !== day) {
      day = dayKey(entry.at);
      rows.push({ kind: 'day', key: `day:${day}`, at: entry.at });
      author = '';
    }
    rows.push({ kind: 'pending', key: entry.id, entry, grouped: author === me && entry.at - at < GROUP_MS });
    author = me;
    at = entry.at;
  }
  return rows;
}
