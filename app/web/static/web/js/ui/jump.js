/** Ctrl+K: to any conversation or person, by a few letters of the name. */

import { Avatar, Icon, html, useApp, useEffect, useRef, useState } from './html.js';
import { Dialog } from './dialog.js';
import { Sign } from './sidebar.js';
import { go } from './navigation.js';
import { startConversation } from '../commands.js';
import { best } from '../fuzzy.js';

/**
 * @typedef {{key: string, title: string, hint: string, conversation?: Parley.Conversation, person?: Parley.Person, search?: string}} Target
 */

export function Jump() {
  const app = useApp();
  const { session, ui } = app;
  const [query, setQuery] = useState('');
  const [active, setActive] = useState(0);
  const list = useRef(/** @type {HTMLUListElement | null} */ (null));
  const found = best(query.replace(/^[#@]/, ''), targets(session), (target) => target.title);
  if (query.trim()) found.push({ key: 'search', title: `Search messages for “${query.trim()}”`, hint: '', search: query.trim() });
  const chosen = Math.min(active, Math.max(found.length - 1, 0));
  const close = () => { ui.dialog.value = null; };
  const open = (/** @type {Target | undefined} */ target) => {
    if (!target) return;
    close();
    if (target.search !== undefined) ui.dialog.value = { name: 'search', query: target.search };
    else openTarget(target);
  };
  const openTarget = (/** @type {Target} */ target) => {
    void ui.attempt(async () => {
      const conversation = target.conversation ?? await startConversation(session, { kind: 'direct', members: [target.person?.id ?? ''] });
      go(app, conversation.id);
      requestAnimationFrame(() => /** @type {HTMLElement | null} */ (document.querySelector('.composer textarea'))?.focus());
    });
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || found.length === 0) return;
    event.preventDefault();
    setActive((chosen + step + found.length) % found.length);
  };
  useEffect(() => { list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' }); }, [chosen]);
  return html`<${Dialog} title="Jump to a conversation or a person" close=${close} class="jump" bare onSubmit=${() => open(found[chosen])}>
    <div class="jump-field"><${Icon} name="search" /><input type="text" data-first value=${query} placeholder="Jump to…" autocomplete="off" spellcheck=${false}
      aria-label="Jump to a conversation or a person" role="combobox" aria-expanded="true" aria-controls="jump-list" aria-activedescendant=${found.length ? `jump-${chosen}` : undefined}
      onInput=${(/** @type {InputEvent} */ event) => { setQuery(/** @type {HTMLInputElement} */ (event.target).value); setActive(0); }} onKeyDown=${keys} /><kbd>Esc</kbd></div>
    <ul class="jump-list" id="jump-list" role="listbox" aria-label="Conversations and people" ref=${list}>
      ${found.map((target, index) => html`<li key=${target.key} id=${`jump-${index}`} role="option" aria-selected=${index === chosen}
        onPointerMove=${() => setActive(index)} onClick=${() => open(target)}>
        ${target.search !== undefined ? html`<${Icon} name="search" />` : target.conversation ? html`<${Sign} conversation=${target.conversation} title=${target.title} />` : html`<${Avatar} id=${target.person?.id ?? ''} name=${target.title} small />`}
        <span class="grow truncate">${target.title}</span><span class="small soft">${target.hint}</span></li>`)}
    </ul>
  <//>`;
}

/** Unread first, then mine, then people without a conversation yet, then what I could join. @param {Parley.Session} session @returns {Target[]} */
function targets(session) {
  const { store, me } = session;
  const mine = [...store.joined.value, ...store.direct.value].map((one) => ({
    key: one.id, title: one.title, hint: one.unread ? `${one.unread} unread` : '', conversation: one, unread: one.unread,
  }));
  const alone = new Set(store.direct.value.filter((one) => one.people?.length === 2).flatMap((one) => one.people ?? []));
  const people = [...store.people.value.values()].filter((person) => person.is_active && person.id !== me.id && !alone.has(person.id))
    .map((person) => ({ key: person.id, title: person.display_name, hint: 'write to', person }));
  const others = store.joinable.value.map((one) => ({ key: one.id, title: one.title, hint: 'not joined', conversation: one }));
  return [...mine.filter((one) => one.unread > 0), ...mine.filter((one) => one.unread === 0), ...people, ...others];
}
