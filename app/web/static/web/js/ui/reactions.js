/** Reactions below a message, and the small picker. */

import { Icon, html, useApp, useLayoutEffect, useRef } from './html.js';
import { CHOICES, canDrawEmoji, emojiName, emojiText } from './emoji.js';
import { toggleReaction } from '../commands.js';

/** @param {{message: Parley.Message}} props */
export function Reactions({ message }) {
  const { session, ui } = useApp();
  const me = session.me.id;
  return html`<ul class="reactions" aria-label="Reactions">${message.reactions.map(({ emoji, users }) => {
    const who = users.map((id) => (id === me ? 'you' : session.store.name(id))).join(', ');
    return html`<li key=${emoji}><button type="button" class="reaction" aria-pressed=${users.includes(me)} title=${`${emojiName(emoji)}: ${who}`}
      aria-label=${`${emojiName(emoji)}, ${users.length}: ${who}`} onClick=${() => void ui.attempt(() => toggleReaction(session, message, emoji))}>
      <span class=${canDrawEmoji() ? 'emoji' : ''}>${emojiText(emoji)}</span> ${users.length}</button></li>`;
  })}</ul>`;
}

/** @param {{message: Parley.Message, close: () => void}} props */
export function EmojiPicker({ message, close }) {
  const { session, ui } = useApp();
  const root = useRef(/** @type {HTMLDivElement | null} */ (null));
  useLayoutEffect(() => {
    const picker = root.current;
    const room = picker?.closest('.timeline, .thread-list')?.getBoundingClientRect().bottom ?? innerHeight;
    if (picker && picker.getBoundingClientRect().bottom > room) picker.classList.add('is-above');
    picker?.querySelector('button')?.focus({ preventScroll: true });
    const elsewhere = (/** @type {Event} */ event) => {
      if (event.target instanceof Node && !root.current?.parentElement?.contains(event.target)) close();
    };
    document.addEventListener('pointerdown', elsewhere);
    return () => document.removeEventListener('pointerdown', elsewhere);
  }, []);
  const choose = (/** @type {string} */ emoji) => {
    close();
    void ui.attempt(() => toggleReaction(session, message, emoji));
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      close();
    }
  };
  return html`<div class=${`emoji-picker ${canDrawEmoji() ? '' : 'is-words'}`} role="group" aria-label="Choose a reaction" ref=${root} onKeyDown=${keys}>
    ${CHOICES.map(([emoji, name]) => html`<button type="button" key=${emoji} aria-label=${name} title=${name} onClick=${() => choose(emoji)}>
      <span class="emoji">${emojiText(emoji)}</span></button>`)}
    <button type="button" class="emoji-close" aria-label="Close" onClick=${close}><${Icon} name="x" /></button>
  </div>`;
}
