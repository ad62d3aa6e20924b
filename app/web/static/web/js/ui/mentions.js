/** Completing `@…` with the conversation's people. */

import { Avatar, html, useApp, useState } from './html.js';
import { mentionAt } from './writing.js';
import { best } from '../fuzzy.js';

const MOST = 6;

/**
 * @param {{current: HTMLTextAreaElement | null}} box
 * @param {Parley.Conversation} conversation
 * @param {string} text
 * @param {(text: string) => void} write
 */
export function useMentions(box, conversation, text, write) {
  const { session } = useApp();
  const [cursor, setCursor] = useState(-1);
  const [active, setActive] = useState(0);
  const [dismissed, setDismissed] = useState('');
  const at = cursor >= 0 ? mentionAt(text, Math.min(cursor, text.length)) : null;
  const key = at ? `${at.from}:${text.length}` : '';
  const found = at && key !== dismissed ? candidates(session, conversation, at.query) : [];
  const chosen = Math.min(active, Math.max(found.length - 1, 0));
  const listId = `mentions-${conversation.id}`;
  const finish = (/** @type {Parley.Person} */ person) => {
    if (!at || !box.current) return;
    const inserted = `@${person.display_name} `;
    box.current.setRangeText(inserted, at.from, at.from + 1 + at.query.length, 'end');
    write(box.current.value);
    setCursor(-1);
    box.current.focus();
  };
  return {
    open: found.length > 0, found, chosen, listId, activeId: `${listId}-${chosen}`, finish,
    moved: () => { setCursor(box.current?.selectionStart ?? -1); },
    begin: () => {
      const area = box.current;
      if (!area) return;
      const before = area.value.slice(0, area.selectionStart);
      area.setRangeText(before && !/\s$/.test(before) ? ' @' : '@', area.selectionStart, area.selectionEnd, 'end');
      area.focus();
      write(area.value);
      setCursor(area.selectionStart);
    },
    keys: (/** @type {KeyboardEvent} */ event) => {
      if (found.length === 0) return false;
      const person = found[chosen];
      if (event.key === 'ArrowDown') setActive((chosen + 1) % found.length);
      else if (event.key === 'ArrowUp') setActive((chosen - 1 + found.length) % found.length);
      else if ((event.key === 'Enter' || event.key === 'Tab') && person) finish(person);
      else if (event.key === 'Escape') setDismissed(key);
      else return false;
      event.preventDefault();
      event.stopPropagation();
      return true;
    },
  };
}

/**
 * @param {Parley.Session} session
 * @param {Parley.Conversation} conversation
 * @param {string} query
 */
function candidates(session, conversation, query) {
  const { store, me } = session;
  const here = new Set(store.members.value.get(conversation.id)?.map((member) => member.user) ?? conversation.people ?? []);
  const people = [...store.people.value.values()].filter((person) => person.is_active && person.id !== me.id && (here.size === 0 || here.has(person.id)));
  // A finished name is finished: nothing is left to complete.
  if (people.some((person) => query.toLowerCase().startsWith(`${person.display_name.toLowerCase()} `))) return [];
  return best(query, people, (person) => person.display_name, MOST);
}

/** @param {{mentions: ReturnType<typeof useMentions>}} props */
export function MentionList({ mentions }) {
  if (!mentions.open) return null;
  return html`<ul class="mentions menu" role="listbox" id=${mentions.listId} aria-label="People">
    ${mentions.found.map((person, index) => html`<li key=${person.id} id=${`${mentions.listId}-${index}`} role="option" aria-selected=${index === mentions.chosen}
      onPointerDown=${(/** @type {Event} */ event) => { event.preventDefault(); mentions.finish(person); }}>
      <${Avatar} id=${person.id} name=${person.display_name} small /> ${person.display_name}</li>`)}
  </ul>`;
}
