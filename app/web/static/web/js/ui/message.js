/** One message: who, when, what, its reactions, its state, and what can be done with it. */

import { Avatar, Icon, grouped as digits, html, memo, plural, useApp, useRef, useState } from './html.js';
import { EditBox } from './edit-box.js';
import { Files } from './files.js';
import { Markdown } from './markdown.js';
import { Reactions } from './reactions.js';
import { Toolbar } from './toolbar.js';
import { clock, longTime, shortTime } from '../time.js';

/** @typedef {{message: Parley.Message, grouped: boolean, last: boolean, tail: boolean, inThread?: boolean}} Props */

export const MessageRow = memo(/** @param {Props} props */ function MessageRow({ message, grouped, last, tail, inThread = false }) {
  const { session, ui } = useApp();
  const [near, setNear] = useState(false);
  const [inside, setInside] = useState(false);
  const row = useRef(/** @type {HTMLLIElement | null} */ (null));
  const { store, me } = session;
  const mine = message.author === me.id;
  const name = mine ? 'You' : store.name(message.author);
  const editing = ui.editing.value === message.id;
  const deleted = message.deleted_at !== null;
  const names = ['message'];
  if (grouped) names.push('is-grouped');
  if (mine) names.push('is-mine');
  if (last) names.push('is-last');
  if (ui.highlighted.value === message.id) names.push('is-highlighted');
  const left = (/** @type {FocusEvent} */ event) => {
    if (!(event.relatedTarget instanceof Node) || !row.current?.contains(event.relatedTarget)) setInside(false);
  };
  return html`<li class=${names.join(' ')} ref=${row} data-id=${message.id} tabindex=${tail || inside ? 0 : -1}
      aria-label=${`${name}, ${shortTime(message.at)}`}
      onPointerEnter=${(/** @type {PointerEvent} */ event) => setNear(event.pointerType !== 'touch')} onPointerLeave=${() => setNear(false)} onFocusIn=${() => setInside(true)} onFocusOut=${left}>
    ${grouped ? html`<time class="message-gutter" datetime=${message.at} title=${longTime(message.at)}>${clock(message.at)}</time>`
      : html`<${Avatar} id=${message.author} name=${store.name(message.author)} />`}
    <div class="message-main">
      ${!grouped && html`<p class="message-head"><strong>${name}</strong>
        <time class="small soft" datetime=${message.at} title=${longTime(message.at)}>${shortTime(message.at)}</time>
        ${message.edited_at && !deleted && html`<span class="small soft" title=${`Edited ${longTime(message.edited_at)}`}>· edited</span>`}</p>`}
      ${editing ? html`<${EditBox} message=${message} />` : html`<${Body} message=${message} />`}
      ${!deleted && html`<${Files} files=${message.attachments} />`}
      ${grouped && message.edited_at && !deleted && html`<span class="small soft" title=${`Edited ${longTime(message.edited_at)}`}>edited</span>`}
      ${!deleted && message.reactions.length > 0 && html`<${Reactions} message=${message} />`}
      ${!inThread && message.replies && message.replies.count > 0 && html`<button type="button" class="message-replies"
        onClick=${() => ui.showDetail({ view: 'thread', message: message.id })}>${plural(message.replies.count, 'reply', 'replies')} · last ${shortTime(message.replies.last_at)}</button>`}
    </div>
    <${State} message=${message} />
    ${(near || inside) && !editing && html`<${Toolbar} message=${message} inThread=${inThread} />`}
  </li>`;
});

/** @param {{message: Parley.Message}} props */
function Body({ message }) {
  const { session } = useApp();
  if (message.deleted_at) return html`<p class="message-gone soft"><${Icon} name="trash-2" /> This message was deleted. Its versions are kept, sealed.</p>`;
  if (message.body === null) return html`<p class="message-gone soft">The text of this message has been erased.</p>`;
  return html`<${Markdown} owner=${message} body=${message.body} names=${session.store.names.value} me=${session.store.name(session.me.id)} />`;
}

/** Sealed, then in the log: quiet, and the way to the receipt. @param {{message: Parley.Message}} props */
function State({ message }) {
  const { ui } = useApp();
  const text = message.log ? `in log · ${digits(message.log.index)}` : 'sealed';
  return html`<button type="button" class=${`message-state ${message.log ? 'is-logged' : ''}`} title="Open the receipt of this message"
    tabindex="-1" onClick=${() => ui.showDetail({ view: 'receipt', message: message.id })}><${Icon} name="check" />${text}</button>`;
}

/** @param {{entry: Parley.OutboxEntry, grouped: boolean}} props */
export function PendingRow({ entry, grouped }) {
  const { session } = useApp();
  const { store, me, outbox } = session;
  const failed = entry.state === 'failed';
  return html`<li class=${`message is-mine is-pending ${grouped ? 'is-grouped' : ''} ${failed ? 'is-failed' : ''}`} data-id=${entry.id}>
    ${grouped ? html`<span class="message-gutter"></span>` : html`<${Avatar} id=${me.id} name=${store.name(me.id)} />`}
    <div class="message-main">
      ${!grouped && html`<p class="message-head"><strong>You</strong> <span class="small soft">${failed ? shortTime(entry.at) : 'now'}</span></p>`}
      <${Markdown} owner=${entry} body=${entry.body} names=${store.names.value} me=${store.name(me.id)} />
      <${Files} files=${entry.attachments ?? []} link=${false} />
      ${failed && html`<div class="message-failure" role="alert"><${Icon} name="circle-alert" /> <span>Not sent: ${entry.error}</span>
        <button type="button" class="button button-small" onClick=${() => outbox.retry(entry.id)}>Try again</button>
        <button type="button" class="button button-quiet button-small" onClick=${() => outbox.remove(entry.id)}>Throw away</button></div>`}
    </div>
    ${!failed && html`<span class="message-state"><${Icon} name="circle-dashed" />sending</span>`}
  </li>`;
}
