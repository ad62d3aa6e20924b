/** One's own call, wherever one is on the page: who is there, who speaks, and what one can do. */

import { Avatar, Icon, IconButton, html, useApp, useEffect, useState } from '../html.js';
import { address, go } from '../navigation.js';
import { Quality } from './quality.js';
import { newsWords } from './words.js';

const FACES = 6;
const HINT_MS = 4_000;

export function VoiceBar() {
  const app = useApp();
  const { session, ui } = app;
  const { calls } = session;
  const { room } = calls;
  const id = room.conversation.value;
  const conversation = id ? session.store.conversations.value.get(id) : null;
  if (!id || !conversation) return null;
  const title = session.store.title(conversation);
  const joining = room.phase.value === 'joining';
  const open = (/** @type {MouseEvent} */ event) => {
    event.preventDefault();
    go(app, id);
    if (ui.wide.matches) ui.paneOpen.value = true;
  };
  return html`<div class="voice-place"><section class="voice-bar" aria-label="Your call">
    <div class="voice-bar-head"><a class="grow truncate" href=${address(id)} onClick=${open}>${title}</a>
      ${joining && html`<span class="small soft">Joining…</span>`}
      ${!joining && html`<${IconButton} icon="settings" label="Sound and devices" class="button-small" onClick=${() => { ui.dialog.value = { name: 'call', conversation: id }; }} />`}</div>
    ${!joining && html`<div class="voice-row"><${Faces} id=${id} /><${State} /></div><${Hint} /><${Buttons} />`}
  </section></div>`;
}

function State() {
  const { session } = useApp();
  const { room } = session.calls;
  const phase = room.phase.value;
  if (phase === 'reconnecting') return html`<span class="badge badge-warn"><${Icon} name="refresh-cw" /> reconnecting</span>`;
  if (phase === 'connecting') return html`<span class="badge">connecting…</span>`;
  const qualities = [...room.hearing.qualities.value.values()];
  if (qualities.length === 0) return html`<span class="small soft">${room.views.value.size === 0 ? 'only you' : ''}</span>`;
  return html`<${Quality} grade=${room.hearing.grade()} relayed=${qualities.some((one) => one.measured.candidate === 'relay')} server=${room.atServer.value} />`;
}

/** @param {{id: string}} props */
function Faces({ id }) {
  const { session, ui } = useApp();
  const { calls, store } = session;
  const people = [...calls.view(id)?.roster.values() ?? []];
  const more = people.length - FACES;
  const speaking = calls.room.hearing.speaking.value;
  return html`<button type="button" class="voice-faces"
    onClick=${() => { void session.show(id); ui.showDetail({ view: 'people' }); }}>
    ${people.slice(0, FACES).map((one) => html`<span key=${one.pid} class=${`voice-face ${speaking.has(one.pid) ? 'is-speaking' : ''} ${one.muted ? 'is-muted' : ''}`} title=${store.name(one.user)}>
      <${Avatar} id=${one.user} name=${store.name(one.user)} small />${one.muted && html`<${Icon} name="mic-off" />`}</span>`)}
    ${more > 0 && html`<span class="small soft" aria-hidden="true">+${more}</span>`}<span class="hidden-visually">${people.length} in the call: ${people.map((one) => store.name(one.user)).join(', ')}. Show them</span></button>`;
}

/** Speaking into a muted microphone is said at once, and stays for a moment to be read. */
function Hint() {
  const { session } = useApp();
  const { calls } = session;
  const [shown, show] = useState(false);
  const unheard = calls.unheard.value;
  useEffect(() => {
    if (unheard) { show(true); return undefined; }
    const timer = setTimeout(() => show(false), HINT_MS);
    return () => clearTimeout(timer);
  }, [unheard]);
  const muted = calls.room.muted.value;
  const by = calls.room.mutedBy.value;
  const text = muted && shown ? `You are muted. ${calls.pushToTalk.value ? 'Hold Space to speak.' : 'Nobody hears you.'}` : muted && by ? `${session.store.name(by)} muted you.` : '';
  return html`<p class="voice-hint small" role="status">${text && html`<${Icon} name="mic-off" /> ${text}`}</p>`;
}

function Buttons() {
  const { session, ui } = useApp();
  const { calls } = session;
  const { media, room } = calls;
  const muted = room.muted.value;
  const listening = !media.microphone.value;
  const mute = muted || listening ? (listening ? 'Turn on the microphone' : 'Unmute') : 'Mute';
  const toggle = (/** @type {'camera' | 'screen'} */ kind) => void ui.attempt(() => calls.toggle(kind));
  return html`<div class="voice-buttons" role="group" aria-label="Your call">
    <${Button} icon=${muted || listening ? 'mic-off' : 'mic'} label=${mute} keys="Ctrl Shift Space" pressed=${muted || listening} onClick=${() => void ui.attempt(() => calls.mute(!(muted || listening)))} />
    <${Button} icon=${media.camera.value ? 'video' : 'video-off'} label=${media.camera.value ? 'Turn off the camera' : 'Turn on the camera'} on=${Boolean(media.camera.value)} onClick=${() => toggle('camera')} />
    <${Button} icon=${media.screen.value ? 'screen-share-off' : 'screen-share'} label=${media.screen.value ? 'Stop sharing the screen' : 'Share a screen'} on=${Boolean(media.screen.value)} onClick=${() => toggle('screen')} />
    <button type="button" class="button button-danger voice-leave" onClick=${() => void calls.leave()}><${Icon} name="phone-off" /> Leave<span class="hidden-visually"> the call</span></button>
  </div>`;
}

/** @param {{icon: string, label: string, onClick: () => void, pressed?: boolean, on?: boolean, keys?: string}} props */
function Button({ icon, label, onClick, pressed = false, on = false, keys }) {
  return html`<button type="button" class=${`button button-icon ${pressed ? 'is-off' : ''} ${on ? 'is-on' : ''}`} aria-label=${label} title=${keys ? `${label} (${keys})` : label} onClick=${onClick}><${Icon} name=${icon} /></button>`;
}

/** Comings and goings, once and politely, for those who do not see the faces; what concerns oneself also for the eyes. */
export function VoiceNews() {
  const { session, ui } = useApp();
  const { news, trouble } = session.calls;
  const [said, say] = useState('');
  const latest = news.value;
  const wrong = trouble.value;
  useEffect(() => {
    if (!latest) return;
    const words = newsWords(session, latest);
    say(words);
    if (['muted', 'moved', 'notice'].includes(latest.kind)) ui.say(words);
  }, [latest]);
  useEffect(() => { if (wrong) ui.say(wrong.message, true); }, [wrong]);
  return html`<div class="hidden-visually" aria-live="polite">${said}</div>`;
}
