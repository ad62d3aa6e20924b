/** The call of a conversation, in the right pane: each person, what a host can do, and past calls. */

import { Avatar, Icon, IconButton, html, plural, useApp, useEffect, useState } from '../html.js';
import { Quality } from './quality.js';
import { AT_SERVER, AT_SERVER_MORE, REASONS, duration } from './words.js';
import { shortTime } from '../../time.js';

/** @param {{conversation: Parley.Conversation}} props */
export function CallCard({ conversation }) {
  const { session, ui } = useApp();
  const { calls } = session;
  const view = calls.view(conversation.id);
  if (!conversation.member || !view) return null;
  const people = [...view.roster.values()];
  const here = calls.room.place.value?.conversation === conversation.id;
  return html`<section class="card call-card">
    <div class="card-head"><h2>In the call ${people.length > 0 && html`<span class="soft">${people.length}</span>`}</h2>
      ${!here && html`<button type="button" class="button button-small" onClick=${() => { ui.dialog.value = { name: 'call', conversation: conversation.id }; }}>${people.length > 0 ? 'Join' : 'Start a call'}</button>`}</div>
    ${people.length === 0 && html`<p class="small soft">Nobody is in a call here.</p>`}
    ${here && calls.room.atServer.value && html`<p class="small soft">${AT_SERVER} ${AT_SERVER_MORE}</p>`}
    <ul class="people">${people.map((one) => html`<${Person} key=${one.pid} participant=${one} host=${view.host} here=${here} />`)}</ul>
    <${Past} id=${conversation.id} running=${view.call} />
  </section>`;
}

/** @param {{participant: Parley.Participant, host: boolean, here: boolean}} props */
function Person({ participant, host, here }) {
  const { session } = useApp();
  const { calls, store } = session;
  const { room } = calls;
  const [open, setOpen] = useState(false);
  const { pid, user, muted } = participant;
  const mine = pid === room.place.value?.pid;
  const name = store.name(user);
  const more = !mine && (here || host);
  return html`<li class="call-person"><div class="person">
      <span class=${`voice-face ${room.hearing.speaking.value.has(pid) ? 'is-speaking' : ''}`}><${Avatar} id=${user} name=${name} small /></span>
      <span class="grow truncate">${name}${mine && html` <span class="soft">(you)</span>`}${room.hearing.speaking.value.has(pid) && html`<span class="hidden-visually">, speaking</span>`}</span>
      ${here && !mine && html`<${Link} pid=${pid} />`}
      ${muted && html`<span class="soft call-muted" title=${participant.muted_by ? `Muted by ${store.name(participant.muted_by)}` : 'Muted'}><${Icon} name="mic-off" /><span class="hidden-visually">muted</span></span>`}
      ${more && html`<button type="button" class="button button-quiet button-icon button-small" aria-expanded=${open} aria-label=${`More about ${name}`} title=${`More about ${name}`} onClick=${() => setOpen(!open)}><${Icon} name="ellipsis" /></button>`}
    </div>
    ${open && more && html`<div class="call-more">${here && html`<${Volume} user=${user} name=${name} />`}${host && html`<${Host} participant=${participant} name=${name} close=${() => setOpen(false)} />`}</div>`}
  </li>`;
}

/** @param {{pid: string}} props how one is connected to somebody */
function Link({ pid }) {
  const { session } = useApp();
  const { room } = session.calls;
  const state = room.views.value.get(pid)?.state;
  if (state === 'unproven') return html`<span class="badge badge-bad" title="What came was not signed by this person’s device. Parley does not connect you; tell your administrator.">not verified</span>`;
  if (state === 'interrupted') return html`<span class="badge badge-warn">interrupted</span>`;
  const quality = room.hearing.qualities.value.get(pid);
  if (state !== 'connected') return html`<span class="small soft">connecting…</span>`;
  if (!quality) return null;
  const { measured } = quality;
  const detail = `${Math.round(measured.loss * 1000) / 10} % lost, ${Math.round(measured.rtt_ms)} ms there and back, ${Math.round(measured.jitter_ms)} ms uneven`;
  return html`<${Quality} grade=${quality.grade} relayed=${measured.candidate === 'relay'} detail=${detail} />`;
}

/** @param {{user: string, name: string}} props */
function Volume({ user, name }) {
  const { session } = useApp();
  const { calls } = session;
  const volume = calls.volumes.value.get(user) ?? calls.volume(user);
  return html`<label class="call-volume"><${Icon} name="volume-2" /><span class="hidden-visually">How loud ${name} is for you</span>
    <input type="range" min="0" max="1" step="0.05" value=${volume} aria-valuetext=${`${Math.round(volume * 100)} %`} onInput=${(/** @type {any} */ event) => calls.setVolume(user, Number(event.target.value))} /></label>`;
}

/** @param {{participant: Parley.Participant, name: string, close: () => void}} props */
function Host({ participant, name, close }) {
  const { session, ui } = useApp();
  const { calls } = session;
  const { pid } = participant;
  const act = async (/** @type {() => Promise<unknown>} */ task) => { if (await ui.attempt(task)) close(); };
  return html`<div class="row">
    ${!participant.muted && html`<button type="button" class="button button-small" aria-label=${`Mute ${name}`} onClick=${() => void act(() => calls.muteOther(pid))}><${Icon} name="mic-off" /> Mute</button>`}
    <button type="button" class="button button-small" aria-label=${`Move ${name}`} onClick=${() => { close(); ui.dialog.value = { name: 'move-call', participant }; }}><${Icon} name="corner-up-right" /> Move</button>
    <button type="button" class="button button-small" aria-label=${`Remove ${name} from the call`} onClick=${() => void act(() => calls.kick(pid))}><${Icon} name="user-x" /> Remove</button>
  </div>`;
}

/** @param {{id: string, running: string | null}} props asked for again when a call begins or ends */
function Past({ id, running }) {
  const { session } = useApp();
  const [open, setOpen] = useState(false);
  const [past, setPast] = useState(/** @type {Parley.PastCall[] | null} */ (null));
  const [problem, setProblem] = useState('');
  const load = () => {
    setProblem('');
    session.calls.past(id).then(setPast, (error) => setProblem(error.message));
  };
  useEffect(() => { if (open) load(); }, [open, running, id]);
  return html`<details class="call-past" open=${open} onToggle=${(/** @type {any} */ event) => setOpen(event.target.open)}><summary class="small">Past calls</summary>
    ${problem && html`<p class="small" role="alert">${problem} <button type="button" class="button-link" onClick=${load}>Try again</button></p>`}
    ${past?.length === 0 && html`<p class="small soft">There has been none yet.</p>`}
    <ol class="call-list">${past?.map((call) => html`<${PastCall} key=${call.id} call=${call} />`)}</ol></details>`;
}

/** @param {{call: Parley.PastCall}} props */
function PastCall({ call }) {
  const { session } = useApp();
  const people = new Set(call.participants.map((one) => one.user));
  return html`<li><details><summary class="small"><span>${shortTime(call.started_at)}</span> <span class="soft">${call.ended_at ? duration(call.started_at, call.ended_at) : 'going on'} · ${plural(people.size, 'person', 'people')}</span></summary>
    <ul class="call-stays small">${call.participants.map((one) => html`<li key=${one.pid}>${session.store.name(one.user)} <span class="soft">${shortTime(one.joined_at)}${one.left_at ? `, ${duration(one.joined_at, one.left_at)}` : ', is there'}${stayEnd(session, one)}</span></li>`)}</ul></details></li>`;
}

/** @param {Parley.Session} session @param {Parley.PastCall['participants'][number]} stay */
function stayEnd(session, { reason, by }) {
  const words = REASONS[reason ?? ''];
  return words ? ` · ${words}${by ? ` by ${session.store.name(by)}` : ''}` : '';
}

/** The header's way into the call, which says how many are in it. @param {{conversation: Parley.Conversation}} props */
export function CallButton({ conversation }) {
  const { session, ui } = useApp();
  const { calls } = session;
  if (!conversation.member) return null;
  const here = calls.room.conversation.value === conversation.id;
  const count = calls.view(conversation.id)?.roster.size ?? 0;
  const press = () => {
    if (here) ui.showDetail({ view: 'people' });
    else ui.dialog.value = { name: 'call', conversation: conversation.id };
  };
  const label = count === 0 ? 'Call' : `${count} in call`;
  return html`<button type="button" class=${`button call-button ${count > 0 ? 'is-running' : ''}`} onClick=${press}>
    <${Icon} name="headphones" /> <span class="wide-only">${label}</span><span class="hidden-visually narrow-name">${label}</span>${count > 0 && html`<span class="call-count" aria-hidden="true">${count}</span>`}</button>`;
}
