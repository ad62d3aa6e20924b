/** What can be done with a message; it appears over the message that is pointed at or focused. */

import { IconButton, html, useApp, useState } from './html.js';
import { EmojiPicker } from './reactions.js';
import { address } from './navigation.js';

/** @param {{message: Parley.Message, inThread: boolean}} props */
export function Toolbar({ message, inThread }) {
  const { session, ui } = useApp();
  const [picking, setPicking] = useState(false);
  const mine = message.author === session.me.id;
  const alive = message.deleted_at === null && message.body !== null;
  const copy = () => ui.attempt(async () => {
    await navigator.clipboard.writeText(new URL(address(message.conversation, message.id), location.href).href);
    ui.say('The link is copied.');
  });
  return html`<div class="message-tools" role="toolbar" aria-label="What to do with this message">
    ${alive && html`<${IconButton} icon="smile-plus" label="React" pressed=${picking} onClick=${() => setPicking(!picking)} />`}
    ${!inThread && html`<${IconButton} icon="reply" label="Reply in a thread" onClick=${() => ui.showDetail({ view: 'thread', message: message.id })} />`}
    <${IconButton} icon="receipt-text" label="Receipt" onClick=${() => ui.showDetail({ view: 'receipt', message: message.id })} />
    <${IconButton} icon="link" label="Copy the link" onClick=${() => void copy()} />
    ${mine && message.revision > 1 && html`<${IconButton} icon="history" label="Earlier versions" onClick=${() => ui.showDetail({ view: 'history', message: message.id })} />`}
    ${mine && alive && html`<${IconButton} icon="pencil" label="Edit" onClick=${() => { ui.editing.value = message.id; }} />`}
    ${mine && alive && html`<${IconButton} icon="trash-2" label="Delete" onClick=${() => { ui.dialog.value = { name: 'delete', message }; }} />`}
    ${picking && html`<${EmojiPicker} message=${message} close=${() => setPicking(false)} />`}
  </div>`;
}
