/** The truth about the call: what is missing now, what everyone must know, and why one is out of it. */

import { Icon, html, useApp, useEffect, useState } from '../html.js';
import { AT_SERVER, NOTICES, endWords, troubleWords } from './words.js';

const PATIENCE_MS = 1_500;

export function CallBanner() {
  const { session, ui } = useApp();
  const { room } = session.calls;
  const end = room.end.value;
  const again = () => {
    if (end) ui.dialog.value = { name: 'call', conversation: end.conversation };
    room.end.value = null;
  };
  return html`<div role="status"><${Trouble} /><${Unproven} />${end && html`<p class="banner banner-warn"><${Icon} name="phone-off" /> <span>${endWords(session, end)}</span>
    ${end.reason !== 'revoked' && html`<button type="button" class="button button-small" onClick=${again}>Join again</button>`}
    <button type="button" class="button button-small" onClick=${() => { room.end.value = null; }}>Close</button></p>`}</div>`;
}

/** A change of sockets that nobody hears is not told. */
function Trouble() {
  const { session } = useApp();
  const { room } = session.calls;
  const phase = room.phase.value;
  const [late, setLate] = useState(false);
  useEffect(() => {
    if (phase !== 'reconnecting') { setLate(false); return undefined; }
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [phase]);
  if (!late) return null;
  const views = [...room.views.value.values()];
  const heard = views.filter((one) => one.state === 'connected').length;
  const text = troubleWords({ phase, unseated: room.unseated.value, others: views.length, heard, lease: room.place.value?.lease ?? 20 });
  return text && html`<p class="banner banner-warn"><${Icon} name="refresh-cw" /> <span>${text}</span></p>`;
}

function Unproven() {
  const { session } = useApp();
  const { calls, store } = session;
  const roster = calls.view(calls.room.place.value?.conversation ?? '')?.roster;
  const names = [...calls.room.views.value].filter(([, view]) => view.state === 'unproven').map(([pid]) => store.name(roster?.get(pid)?.user ?? ''));
  if (names.length === 0) return null;
  return html`<p class="banner banner-bad"><${Icon} name="shield-alert" /> <span>Parley could not make sure that this is the device of ${names.join(', ')}, so you are not connected to it. Tell your administrator.</span></p>`;
}

/** What stands above a conversation while one is in its call. @param {{conversation: string}} props */
export function CallNotices({ conversation }) {
  const { session } = useApp();
  const { calls } = session;
  if (calls.room.place.value?.conversation !== conversation) return null;
  const told = new Set(session.store.conversations.value.get(conversation)?.notices?.map((/** @type {any} */ one) => one.kind) ?? []);
  const notice = calls.view(conversation)?.notice ?? [];
  return html`${calls.room.atServer.value && html`<p class="conversation-notice">${AT_SERVER}</p>`}${notice.filter((kind) => !told.has(/** @type {any} */ (kind)) && NOTICES[kind]).map((kind) => html`<p class="conversation-notice" key=${kind}>${NOTICES[kind]}</p>`)}`;
}
