/** The right pane: a thread, or the receipt or versions of a message above the people. */

import { html, useApp, useEffect, useRef } from './html.js';
import { History } from './history.js';
import { People } from './people.js';
import { ReceiptCard } from './receipt.js';
import { Thread } from './thread.js';
import { CallCard } from './voice/card.js';

/** @param {{conversation: Parley.Conversation}} props */
export function Pane({ conversation }) {
  const { ui } = useApp();
  const detail = ui.detail.value;
  const root = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    // Opened on purpose, so the keyboard goes there; the people are always there.
    if (detail.view !== 'people') root.current?.querySelector('h2')?.focus();
  }, [detail]);
  return html`<aside class=${`pane pane-${detail.view}`} aria-label="Details" ref=${root}>
    ${detail.view === 'thread' && html`<${Thread} key=${detail.message} conversation=${conversation} root=${detail.message} />`}
    ${detail.view === 'receipt' && html`<${ReceiptCard} key=${detail.message} id=${detail.message} />`}
    ${detail.view === 'history' && html`<${History} key=${detail.message} id=${detail.message} />`}
    ${detail.view !== 'thread' && html`<${CallCard} key=${`call:${conversation.id}`} conversation=${conversation} />`}
    ${detail.view !== 'thread' && html`<${People} key=${conversation.id} conversation=${conversation} />`}
  </aside>`;
}
