/** The top of a conversation: its name, its people, its notices, its menu. */

import { Icon, IconButton, html, plural, useApp } from './html.js';
import { Menu, MenuItem } from './menu.js';
import { goToList } from './navigation.js';
import { Sign } from './sidebar.js';
import { CallButton } from './voice/card.js';

/** @type {Record<string, string>} */
const NOTICES = {
  hold: 'This conversation is under a legal hold. Edits and deletions are kept for review.',
  monitoring: 'This conversation is being monitored by your organization’s compliance officers.',
};

/** @param {{conversation: Parley.Conversation}} props */
export function Header({ conversation }) {
  const app = useApp();
  const { session, ui } = app;
  const title = session.store.title(conversation);
  const direct = conversation.kind === 'direct';
  const facts = [plural(conversation.size, 'person', 'people'), ...(conversation.topic ? [conversation.topic] : [])];
  return html`<header class="conversation-head">
      <${IconButton} icon="arrow-left" label="Back to the list" class="only-narrow" onClick=${() => goToList(app)} />
      <div class="grow">
        <h1 class="conversation-title"><${Sign} conversation=${conversation} title=${title} /> <span class="truncate">${title}</span></h1>
        <p class="small soft truncate">${direct ? 'Direct conversation' : facts.join(' · ')}</p>
      </div>
      <${CallButton} conversation=${conversation} />
      <button type="button" class="button" aria-pressed=${ui.paneOpen.value} onClick=${() => ui.togglePane()}>
        <${Icon} name="users" /> <span class="wide-only">People</span><span class="hidden-visually narrow-name">People</span></button>
      ${conversation.member && !direct && html`<${Menu} label="More about this conversation" class="button button-icon">
        <${MenuItem} icon="user-plus" onClick=${() => { ui.dialog.value = { name: 'add-people', conversation: conversation.id }; }}>Add people<//>
        <${MenuItem} icon="pencil" onClick=${() => { ui.dialog.value = { name: 'rename', conversation: conversation.id }; }}>Name and topic<//>
        <hr />
        <${MenuItem} icon="log-out" onClick=${() => { ui.dialog.value = { name: 'leave', conversation: conversation.id }; }}>Leave this conversation<//>
      <//>`}
    </header>
    ${conversation.notices?.map((notice) => html`<p class="conversation-notice" key=${notice.kind}>${NOTICES[notice.kind] ?? ''}</p>`)}`;
}
