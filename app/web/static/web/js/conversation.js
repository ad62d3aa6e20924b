/** Starts the conversation page with what the server put into it. */

import { Api } from './api.js';
import { forgetOthers } from './drafts.js';
import { SUBPROTOCOL } from './protocol.js';
import { Session } from './session.js';
import { App } from './ui/app.js';
import { html, render } from './ui/html.js';
import { followAddress } from './ui/navigation.js';
import { tellPresence } from './ui/presence.js';
import { pushToTalk, shortcuts } from './ui/shortcuts.js';
import { Interface } from './ui/state.js';
import { effect, untracked } from '../vendor/signals-core.js';

function openSocket() {
  const url = new URL('/ws', location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  return new WebSocket(url, SUBPROTOCOL);
}

/** @param {Parley.App} app */
function listen(app) {
  const { session, ui } = app;
  const look = () => { ui.focused.value = document.hasFocus() && !document.hidden; };
  addEventListener('focus', look);
  addEventListener('blur', look);
  document.addEventListener('visibilitychange', () => {
    look();
    if (!document.hidden) session.connection.wake();
  });
  addEventListener('online', () => session.connection.wake());
  addEventListener('offline', () => session.connection.networkLost());
  // A file that misses the conversation must not replace the page.
  for (const name of ['dragover', 'drop']) document.addEventListener(name, (event) => event.preventDefault());
  addEventListener('beforeunload', (event) => {
    if (session.uploads.all.value.length > 0) event.preventDefault();
  });
  addEventListener('popstate', () => followAddress(app));
  document.addEventListener('keydown', shortcuts(app));
  pushToTalk(app);
  tellPresence(app);
  // A best effort: else the place in the call waits for its lease to end.
  addEventListener('pagehide', () => void session.calls.leave());
}

async function start() {
  /** @type {Parley.Boot} */
  const boot = JSON.parse(document.getElementById('boot')?.textContent ?? '{}');
  forgetOthers(localStorage, boot.me.id);
  const csrf = () => document.querySelector('meta[name="csrf-token"]')?.getAttribute('content') ?? '';
  const session = new Session({ me: boot.me, api: new Api({ csrf }), openSocket, storage: localStorage });
  const app = { session, ui: new Interface(localStorage) };
  const root = document.getElementById('app');
  if (!root) throw new Error('the page has no place for the conversations');
  root.replaceChildren();
  render(html`<${App} app=${app} />`, root);
  listen(app);
  let known = false;
  effect(() => {
    if (known || session.store.status.value !== 'ready') return;
    known = true;
    untracked(() => followAddress(app));
  });
  await session.start();
}

void start();
