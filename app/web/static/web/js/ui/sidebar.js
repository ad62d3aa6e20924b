/** The left pane: organization, jump, conversations, direct conversations, and my own menu. */

import { Avatar, Icon, IconButton, grouped, html, useApp } from './html.js';
import { address, go } from './navigation.js';
import { OwnMenu } from './own-menu.js';
import { PresenceDot } from './presence.js';

export function Sidebar() {
  const { session, ui } = useApp();
  const { store } = session;
  const status = store.status.value;
  const drafts = session.drafts.places();
  return html`<nav class="sidebar" aria-label="Conversations">
    <div class="sidebar-top">
      <a class="brand" href="/"><span class="brand-mark" aria-hidden="true">${session.me.organization.name.slice(0, 1).toUpperCase() || 'P'}</span>
        <span class="truncate">${session.me.organization.name}</span></a>
      <button type="button" class="jump-button" onClick=${() => { ui.dialog.value = { name: 'jump' }; }}>
        <span class="grow">Jump to…</span><kbd>Ctrl K</kbd></button>
      <button type="button" class="jump-button" onClick=${() => { ui.dialog.value = { name: 'search' }; }}>
        <span class="grow">Search messages…</span><kbd>/</kbd></button>
    </div>
    <div class="sidebar-lists">
      ${status === 'loading' && html`<${Waiting} />`}
      ${status === 'error' && html`<${Failed} />`}
      ${status === 'ready' && html`
        <${Section} title="Conversations" add="New conversation" onAdd=${() => { ui.dialog.value = { name: 'create' }; }}>
          ${store.joined.value.map((one) => html`<${Item} key=${one.id} conversation=${one} title=${one.title} draft=${drafts.has(one.id)} />`)}
          ${store.joined.value.length === 0 && html`<li class="sidebar-hint">You are in no conversation yet.</li>`}
          ${store.joinable.value.length > 0 && html`<li><button type="button" class="sidebar-item" onClick=${() => { ui.dialog.value = { name: 'browse' }; }}>
            <${Icon} name="plus" /><span class="grow">Browse ${grouped(store.joinable.value.length)} more</span></button></li>`}
        <//>
        <${Section} title="Direct" add="New direct conversation" onAdd=${() => { ui.dialog.value = { name: 'direct' }; }}>
          ${store.direct.value.map((one) => html`<${Item} key=${one.id} conversation=${one} title=${one.title} draft=${drafts.has(one.id)} />`)}
          ${store.direct.value.length === 0 && html`<li class="sidebar-hint">Write to somebody with +.</li>`}
        <//>`}
    </div>
    <${OwnMenu} />
  </nav>`;
}

/** @param {{title: string, add: string, onAdd: () => void, children: any}} props */
function Section({ title, add, onAdd, children }) {
  return html`<section class="sidebar-section">
    <div class="sidebar-head"><h2 class="nav-title">${title}</h2><${IconButton} icon="plus" label=${add} onClick=${onAdd} class="button-small" /></div>
    <ul class="sidebar-list">${children}</ul>
  </section>`;
}

/** @param {{conversation: Parley.Conversation, title: string, draft: boolean}} props */
function Item({ conversation, title, draft }) {
  const app = useApp();
  const { session } = app;
  const current = session.active.value === conversation.id;
  const { id, unread } = conversation;
  const open = (/** @type {MouseEvent} */ event) => {
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    go(app, id);
  };
  const warm = () => void session.warm(id);
  return html`<li><a href=${address(id)} class=${`sidebar-item ${unread ? 'is-unread' : ''}`} aria-current=${current ? 'page' : undefined}
    onClick=${open} onPointerEnter=${warm} onFocus=${warm}>
    <${Sign} conversation=${conversation} title=${title} />
    <span class="grow truncate">${title}</span>
    ${draft && !current && html`<span class="soft" title="You have begun to write here"><${Icon} name="pencil" /><span class="hidden-visually">draft</span></span>`}
    ${unread > 0 && html`<span class="badge badge-fill">${grouped(unread)}<span class="hidden-visually"> unread</span></span>`}
  </a></li>`;
}

/** @param {{conversation: Parley.Conversation, title: string}} props */
export function Sign({ conversation, title }) {
  const { session } = useApp();
  if (conversation.kind === 'private') return html`<${Icon} name="lock" />`;
  if (conversation.kind === 'public') return html`<${Icon} name="hash" />`;
  const others = (conversation.people ?? []).filter((id) => id !== session.me.id);
  if (others.length > 1) return html`<${Icon} name="users" />`;
  const one = others[0] ?? session.me.id;
  return html`<span class="presence-face"><${Avatar} id=${one} name=${title} small /><${PresenceDot} user=${one} /></span>`;
}

function Waiting() {
  return html`<div class="sidebar-waiting" role="status" aria-label="Your conversations are loading">
    ${[70, 52, 84, 60, 44, 76].map((width) => html`<div class=${`skeleton skeleton-line skeleton-${width}`}></div>`)}
  </div>`;
}

function Failed() {
  const { session } = useApp();
  return html`<div class="sidebar-hint" role="alert">
    <p>Your conversations could not be loaded. ${session.startError.value}</p>
    <button type="button" class="button button-small" onClick=${() => void session.restart()}><${Icon} name="refresh-cw" /> Try again</button>
  </div>`;
}
