/** The conversation page: the list, the conversation, its details. */

import { AppContext, Icon, html, plural, useApp, useEffect, useState } from './html.js';
import { Banner } from './banner.js';
import { Composer } from './composer.js';
import { Dialogs } from './dialogs.js';
import { Header } from './header.js';
import { Pane } from './pane.js';
import { Sidebar } from './sidebar.js';
import { TimelineView, Waiting } from './timeline.js';
import { goToList } from './navigation.js';
import { CallBanner, CallNotices } from './voice/banner.js';
import { VoiceBar, VoiceNews } from './voice/bar.js';
import { Sound } from './voice/sound.js';
import { Tiles } from './voice/tiles.js';
import { joinConversation } from '../commands.js';
import { parse, plainText } from '../markdown.js';
import { firstName } from '../store.js';

/** @param {{app: Parley.App}} props */
export function App({ app }) {
  return html`<${AppContext.Provider} value=${app}><${Layout} /><${Dialogs} /><${Toast} /><${Live} /><${VoiceNews} /><//>`;
}

function Layout() {
  const { session, ui } = useApp();
  const id = session.active.value;
  const conversation = id ? session.store.conversations.value.get(id) ?? null : null;
  useTitle(conversation);
  const pane = conversation && ui.paneOpen.value;
  return html`<div class=${`chat ${pane ? 'has-pane' : ''} ${session.calls.room.conversation.value ? 'has-call' : ''}`} data-view=${ui.view.value}>
    <${Sidebar} />
    <main class="conversation" id="main" tabindex="-1">
      <${Banner} /><${CallBanner} /><${Sound} />
      ${conversation ? html`<${Conversation} key=${conversation.id} conversation=${conversation} />` : html`<${Nothing} id=${id} />`}
    </main>
    ${pane && html`<${Pane} conversation=${conversation} />`}
    <${VoiceBar} />
  </div>`;
}

/** @param {{conversation: Parley.Conversation}} props */
function Conversation({ conversation }) {
  const { session } = useApp();
  const title = session.store.title(conversation);
  const sign = conversation.kind === 'direct' ? '' : '#';
  return html`<${Header} conversation=${conversation} /><${CallNotices} conversation=${conversation.id} /><${Tiles} conversation=${conversation.id} />
    ${conversation.member ? html`<${TimelineView} conversation=${conversation} />
      <div class="conversation-foot"><${Typing} id=${conversation.id} /><${Composer} conversation=${conversation} label=${`Message ${sign}${title}`} /></div>`
      : html`<${Join} conversation=${conversation} />`}`;
}

/** @param {{conversation: Parley.Conversation}} props */
function Join({ conversation }) {
  const { session, ui } = useApp();
  return html`<div class="empty"><${Icon} name="hash" /><h2>${conversation.name}</h2>
    <p>${conversation.topic || 'Anyone in your organization can join this conversation.'} ${plural(conversation.size, 'person is', 'people are')} in it.</p>
    <button type="button" class="button button-primary" onClick=${() => void ui.attempt(() => joinConversation(session, conversation.id))}>Join</button></div>`;
}

/** @param {{id: string | null}} props nothing is chosen, or what is chosen is not mine to see */
function Nothing({ id }) {
  const app = useApp();
  const { session, ui } = app;
  const status = session.store.status.value;
  if (status === 'loading') return html`<div class="conversation-waiting"><${Waiting} /></div>`;
  if (status === 'error') {
    return html`<div class="empty" role="alert"><${Icon} name="wifi-off" /><h1>Parley cannot be reached</h1><p>${session.startError.value}</p>
      <button type="button" class="button button-primary" onClick=${() => void session.restart()}>Try again</button></div>`;
  }
  if (id) {
    return html`<div class="empty"><${Icon} name="circle-alert" /><h1>There is no such conversation</h1>
      <p>It does not exist, or you are not in it. If somebody sent you the link, ask them to add you.</p>
      <button type="button" class="button" onClick=${() => goToList(app)}>Back</button></div>`;
  }
  const none = session.store.joined.value.length + session.store.direct.value.length === 0;
  return html`<div class="empty"><${Icon} name="messages-square" /><h1>${none ? 'Begin the first conversation' : 'Choose a conversation'}</h1>
    <p>${none ? 'Make one for your team, join one that is open to all, or write to somebody.' : 'Ctrl K jumps to any conversation or person.'}</p>
    <div class="row centred"><button type="button" class="button button-primary" onClick=${() => { ui.dialog.value = { name: 'create' }; }}><${Icon} name="plus" /> New conversation</button>
      <button type="button" class="button" onClick=${() => { ui.dialog.value = { name: 'direct' }; }}>Write to somebody</button></div></div>`;
}

/** @param {{id: string}} props */
function Typing({ id }) {
  const { session } = useApp();
  const users = [...session.store.typing.value.get(id)?.keys() ?? []];
  useEffect(() => {
    if (users.length === 0) return undefined;
    const timer = setInterval(() => session.store.sweepTyping(), 1000);
    return () => clearInterval(timer);
  }, [users.length > 0]);
  const names = users.map((user) => firstName(session.store.name(user)));
  const text = names.length === 0 ? '' : names.length === 1 ? `${names[0]} is typing…` : names.length === 2 ? `${names.join(' and ')} are typing…` : 'Several people are typing…';
  return html`<p class="typing small soft">${text}</p>`;
}

function Toast() {
  const { ui } = useApp();
  const toast = ui.toast.value;
  return html`<div class="toast-place" role=${toast?.bad ? 'alert' : 'status'}>${toast && html`<p class=${`toast ${toast.bad ? 'toast-bad' : ''}`} key=${toast.id}>
    <${Icon} name=${toast.bad ? 'circle-alert' : 'check'} /> ${toast.text}</p>`}</div>`;
}

/** What others write is said once, politely, to those who cannot see it. */
function Live() {
  const { session } = useApp();
  const message = session.heard.value;
  const [said, say] = useState('');
  useEffect(() => {
    if (message) say(`${session.store.name(message.author)}: ${spoken(message)}`);
  }, [message]);
  return html`<div class="hidden-visually" aria-live="polite">${said}</div>`;
}

/** @param {Parley.Message} message */
function spoken({ body, attachments }) {
  const files = attachments?.length ? plural(attachments.length, 'file', 'files') : '';
  return [plainText(parse(body ?? '')).slice(0, 300), files].filter(Boolean).join(', ');
}

/** @param {Parley.Conversation | null} conversation */
function useTitle(conversation) {
  const { session } = useApp();
  const unread = session.store.unread.value;
  const name = conversation ? session.store.title(conversation) : session.me.organization.name;
  useEffect(() => { document.title = `${unread > 0 ? `(${unread}) ` : ''}${name} · Parley`; }, [unread, name]);
}
