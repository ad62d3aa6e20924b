/** The truth about the connection. Connected shows nothing; a hiccup of a second or two neither. */

import { Icon, html, useApp, useEffect, useState } from './html.js';
import { Session } from '../session.js';
import { clock } from '../time.js';

const PATIENCE_MS = 1_500;

/** @type {Record<string, [string, string, string]>} */
const STOPPED = {
  'signed-out': ['You have been signed out. What you have not sent is kept on this device until you sign in again.', 'Sign in', '/sign-in'],
  version: ['Parley has been renewed: this page is too old to go on.', 'Reload', ''],
  windows: ['Parley is open in too many windows. Close some, then reload this one.', 'Reload', ''],
};

export function Banner() {
  const { session } = useApp();
  const { phase, since, code } = session.link.value;
  const [online, setOnline] = useState(navigator.onLine);
  const [, setTick] = useState(0);
  useEffect(() => {
    const look = () => setOnline(navigator.onLine);
    addEventListener('online', look);
    addEventListener('offline', look);
    return () => { removeEventListener('online', look); removeEventListener('offline', look); };
  }, []);
  const late = since > 0 && Date.now() - since >= PATIENCE_MS;
  useEffect(() => {
    if (phase === 'ready' || late) return undefined;
    const timer = setTimeout(() => setTick((tick) => tick + 1), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [phase, late]);
  return html`<div class="banner-place" role="status">${message(phase, online, late, since, code)}</div>`;
}

/**
 * @param {string} phase
 * @param {boolean} online
 * @param {boolean} late
 * @param {number} since
 * @param {number} code
 */
function message(phase, online, late, since, code) {
  if (phase === 'stopped') {
    const [text, action, href] = STOPPED[Session.stopReason(code)] ?? ['', '', ''];
    return html`<p class="banner banner-bad"><${Icon} name="circle-alert" /> <span>${text}</span>
      <a class="button button-small" href=${href || location.href}>${action}</a></p>`;
  }
  if (phase === 'ready') return null;
  if (!online) {
    return html`<p class="banner banner-warn"><${Icon} name="wifi-off" />
      <span>You are offline since ${clock(since)}. What you write will be sent when the connection is back.</span></p>`;
  }
  if (!late) return null;
  return html`<p class="banner banner-warn"><${Icon} name="refresh-cw" />
    <span>Reconnecting since ${clock(since)}. What you write will be sent.</span></p>`;
}
