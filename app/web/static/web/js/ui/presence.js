/** Whether somebody is there: a dot for the eyes, a word for the ears. */

import { html, useApp } from './html.js';

/** @type {Record<string, string>} */
const WORDS = { active: 'active', away: 'away' };
const AWAY_AFTER_MS = 5 * 60_000;

/** @param {{user: string}} props */
export function PresenceDot({ user }) {
  const { session } = useApp();
  const state = session.store.presence.value.get(user) ?? '';
  const word = WORDS[state];
  return word ? html`<span class=${`presence presence-${state}`} title=${word}><span class="hidden-visually">${word}</span></span>` : null;
}

/** Away is who has not looked at the page for some minutes. @param {Parley.App} app */
export function tellPresence({ session }) {
  /** @type {any} */
  let timer = null;
  document.addEventListener('visibilitychange', () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => session.tellPresence('away'), AWAY_AFTER_MS);
    else if (session.presence === 'away') session.tellPresence('active');
  });
}
