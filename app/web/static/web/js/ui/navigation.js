/** Addresses and what they show: `/`, `/c/<conversation>`, `/c/<conversation>?m=<message>`. */

import { loadPermalink } from '../commands.js';

const LAST = 'parley:last:';
const HIGHLIGHT_MS = 3_000;

/** @param {string} conversation @param {string} [message] */
export function address(conversation, message) {
  return `/c/${conversation}${message ? `?m=${message}` : ''}`;
}

/** @param {Location | URL} url */
export function parseAddress(url) {
  const match = /^\/c\/([0-9a-f-]{36})\/?$/.exec(url.pathname);
  return { conversation: match?.[1] ?? null, message: new URLSearchParams(url.search).get('m') };
}

/**
 * @param {Parley.App} app
 * @param {string} conversation
 * @param {{message?: string | null, replace?: boolean}} options
 */
export function go({ session, ui }, conversation, { message = null, replace = false } = {}) {
  const to = address(conversation, message ?? undefined);
  if (location.pathname + location.search !== to) history[replace ? 'replaceState' : 'pushState'](null, '', to);
  show({ session, ui }, conversation, message);
}

/** @param {Parley.App} app @param {string} conversation @param {string | null} message */
function show({ session, ui }, conversation, message) {
  if (session.active.value !== conversation) {
    ui.detail.value = { view: 'people' };
    ui.editing.value = null;
    if (!ui.wide.matches) ui.paneOpen.value = false;
  }
  ui.view.value = 'conversation';
  session.show(conversation, message === null);
  ui.storage.setItem(LAST + session.me.id, conversation);
  if (message) void highlight({ session, ui }, conversation, message);
}

/** @param {Parley.App} app @param {string} conversation @param {string} id */
async function highlight({ session, ui }, conversation, id) {
  await ui.attempt(async () => {
    const message = await loadPermalink(session, conversation, id).catch(async (error) => {
      await session.warm(conversation);
      throw error;
    });
    if (message.thread || message.conversation !== conversation) await session.warm(conversation);
    if (message.thread) ui.showDetail({ view: 'thread', message: message.thread });
    ui.highlighted.value = id;
    setTimeout(() => { if (ui.highlighted.value === id) ui.highlighted.value = null; }, HIGHLIGHT_MS);
  });
}

/** On a phone, and when a conversation is no longer mine: back to the list. @param {Parley.App} app */
export function goToList({ session, ui }) {
  if (location.pathname !== '/') history.pushState(null, '', '/');
  ui.view.value = 'list';
  if (!matchMedia('(max-width: 760px)').matches) session.show(null);
}

/** What the address says, once the conversations are known. @param {Parley.App} app */
export function followAddress(app) {
  const { session, ui } = app;
  const { conversation, message } = parseAddress(location);
  if (conversation) return show(app, conversation, message);
  const last = ui.storage.getItem(LAST + session.me.id);
  const known = last && session.store.conversation(last)?.member ? last : null;
  const first = known ?? session.store.joined.value[0]?.id ?? session.store.direct.value[0]?.id ?? null;
  // On a phone the list is the start; beside it there is room for a conversation.
  if (matchMedia('(max-width: 760px)').matches) ui.view.value = 'list';
  else if (first) go(app, first, { replace: true });
}

/** The neighbour in the sidebar's order. @param {Parley.App} app @param {1 | -1} step */
export function goToNeighbour(app, step) {
  const { store, active } = app.session;
  const all = [...store.joined.value, ...store.direct.value];
  if (all.length === 0) return;
  const at = all.findIndex((one) => one.id === active.value);
  const next = all[(at + step + all.length) % all.length];
  if (next) go(app, next.id);
}
