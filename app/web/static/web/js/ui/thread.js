/** A message and its replies, with a composer of their own. */

import { IconButton, html, useApp, useEffect, useLayoutEffect, useRef } from './html.js';
import { Composer } from './composer.js';
import { MessageRow, PendingRow } from './message.js';
import { PaneProblem, PaneWaiting } from './pane-card.js';
import { toRows } from '../rows.js';

/** @param {{conversation: Parley.Conversation, root: string}} props */
export function Thread({ conversation, root }) {
  const { session, ui } = useApp();
  const timeline = session.timeline(conversation.id, root);
  const list = useRef(/** @type {HTMLDivElement | null} */ (null));
  const messages = timeline.messages.value;
  const status = timeline.status.value;
  const pending = session.outbox.entries.value.filter((entry) => entry.thread === root);
  useEffect(() => { if (status === 'empty') void timeline.loadLatest(); }, []);
  useLayoutEffect(() => {
    if (list.current) list.current.scrollTop = list.current.scrollHeight;
  }, [messages.length, pending.length, status]);
  const rows = toRows(messages, pending, { me: session.me.id, newAfter: null });
  return html`<div class="thread">
    <div class="thread-head"><h2 tabindex="-1">Thread</h2>
      <${IconButton} icon="x" label="Close the thread" class="button-small" onClick=${() => ui.closeDetail()} /></div>
    <div class="thread-list" ref=${list} tabindex="0" role="region" aria-label="Replies">
      ${status === 'loading' && html`<${PaneWaiting} />`}
      ${status === 'error' && html`<${PaneProblem} problem=${timeline.error.value} retry=${() => void timeline.loadLatest()} />`}
      ${timeline.more.value && html`<button type="button" class="button button-small" onClick=${() => void timeline.loadOlder()}>Earlier replies</button>`}
      <ol class="messages-list">${rows.map((row, index) => {
        if (row.kind === 'message') return html`<${MessageRow} key=${row.key} message=${row.message} grouped=${row.grouped} last=${row.last} tail=${index === rows.length - 1} inThread />`;
        return row.kind === 'pending' ? html`<${PendingRow} key=${row.key} entry=${row.entry} grouped=${row.grouped} />` : null;
      })}</ol>
    </div>
    ${conversation.member && html`<${Composer} key=${root} conversation=${conversation} thread=${root} label="Reply in this thread" />`}
  </div>`;
}
