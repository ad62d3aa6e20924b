/** Before joining: who is there, what one has to know, and whether one's devices work. In a call: the same devices. */

import { Dialog } from '../dialog.js';
import { Avatar, Icon, html, plural, useApp, useEffect, useState } from '../html.js';
import { NOTICES } from './words.js';
import { meter } from '../../voice/speaking.js';

/** @param {{id: string}} props */
export function CallDialog({ id }) {
  const { session, ui } = useApp();
  const { calls } = session;
  const conversation = session.store.conversations.value.get(id);
  const here = calls.room.place.value?.conversation === id;
  const [muted, setMuted] = useState(calls.pushToTalk.value);
  const [relayOnly, setRelayOnly] = useState(calls.choices.get('relay') === 'on');
  const [joining, setJoining] = useState(false);
  const microphone = useMicrophone();
  const close = () => { ui.dialog.value = null; };
  const join = async (/** @type {boolean} */ listening) => {
    setJoining(true);
    calls.choices.set('relay', relayOnly ? 'on' : '');
    if (await ui.attempt(() => calls.join(id, { muted, listening, relayOnly }))) close();
    else { setJoining(false); void microphone.open(); }
  };
  const others = calls.room.place.value && !here;
  const title = conversation ? session.store.title(conversation) : '';
  return html`<${Dialog} title=${here ? 'Sound and devices' : `Call in ${title}`} close=${close} onSubmit=${() => void (here ? close() : join(!microphone.ready))}
    foot=${here ? html`<button class="button button-primary">Done</button>` : html`<button type="button" class="button" onClick=${close}>Cancel</button>
      ${microphone.ready && html`<button type="button" class="button" disabled=${joining} onClick=${() => void join(true)}>Only listen</button>`}
      <button class="button button-primary" disabled=${joining || microphone.waiting} data-first>${microphone.ready || microphone.waiting ? 'Join' : 'Join to listen'}</button>`}>
    ${!here && html`<${Notices} id=${id} /><${Who} id=${id} />`}
    ${others && html`<p class="small">You leave the call that you are in now.</p>`}
    <${Microphone} microphone=${microphone} />
    <${Speaker} devices=${microphone.devices} />
    ${!here && html`<label class="field-row"><input type="checkbox" checked=${muted} onChange=${(/** @type {any} */ event) => setMuted(event.target.checked)} /> Join muted</label>`}
    <${PushToTalk} onChange=${(/** @type {boolean} */ on) => { if (on) setMuted(true); }} />
    ${!here && html`<div class="stack call-relay"><label class="field-row"><input type="checkbox" checked=${relayOnly} onChange=${(/** @type {any} */ event) => setRelayOnly(event.target.checked)} /> Always use the relay</label>
      <p class="field-help">Then the others do not learn your network address. Sound may take longer.</p></div>`}
  <//>`;
}

/** The microphone of this dialog: open while it is, unless the call goes on with it. */
function useMicrophone() {
  const { session } = useApp();
  const { calls } = session;
  const [problem, setProblem] = useState('');
  const [waiting, setWaiting] = useState(true);
  const [devices, setDevices] = useState(/** @type {any} */ (null));
  const open = async (chosen = calls.choices.get('microphone')) => {
    setProblem('');
    setWaiting(true);
    try {
      await calls.media.openMicrophone(chosen);
    } catch (error) {
      setProblem(/** @type {Error} */ (error).message);
    }
    setWaiting(false);
    setDevices(await calls.devices.list().catch(() => null));
  };
  useEffect(() => {
    const inCall = calls.room.place.value;
    // Who came to listen is asked for no microphone again.
    if (!calls.media.microphone.value && !inCall) void open();
    else { setWaiting(false); void calls.devices.list().then(setDevices, () => {}); }
    return () => { if (!calls.room.conversation.value) calls.media.closeAll(); };
  }, []);
  const choose = (/** @type {string} */ id) => { calls.choices.set('microphone', id); void open(id); };
  return { problem, waiting, devices, open, choose, ready: Boolean(calls.media.microphone.value) };
}

/** @param {{id: string}} props */
function Notices({ id }) {
  const { session } = useApp();
  const conversation = session.store.conversations.value.get(id);
  const kinds = new Set([...session.calls.view(id)?.notice ?? [], ...conversation?.notices?.map((one) => one.kind) ?? []]);
  return html`${[...kinds].map((kind) => NOTICES[kind] && html`<p key=${kind} class="notice notice-accent small"><${Icon} name="info" /> <span>${NOTICES[kind]}</span></p>`)}`;
}

/** @param {{id: string}} props */
function Who({ id }) {
  const { session } = useApp();
  const view = session.calls.view(id);
  const people = [...view?.roster.values() ?? []];
  if (people.length === 0) return html`<p class="soft">Nobody is in the call yet.</p>`;
  return html`<div class="call-who"><p>${plural(people.length, 'person is', 'people are')} in the call${view && people.length >= view.capacity ? ', and it is full' : ''}:</p>
    <ul class="call-names">${people.map((one) => html`<li key=${one.pid}><${Avatar} id=${one.user} name=${session.store.name(one.user)} small /> ${session.store.name(one.user)}</li>`)}</ul></div>`;
}

/** @param {{microphone: ReturnType<typeof useMicrophone>}} props */
function Microphone({ microphone }) {
  const { session } = useApp();
  const { calls } = session;
  const inputs = microphone.devices?.audioinput ?? [];
  const chosen = calls.media.microphone.value?.getSettings?.().deviceId ?? calls.choices.get('microphone');
  return html`<div class="field"><label for="call-microphone">Microphone</label>
    ${microphone.problem && html`<div class="notice notice-warn small" role="alert"><${Icon} name="mic-off" /><div class="stack stack-tight"><span>${microphone.problem} You can also join and only listen.</span>
      <div><button type="button" class="button button-small" onClick=${() => void microphone.open()}>Try again</button></div></div></div>`}
    ${!microphone.ready && !microphone.problem && !microphone.waiting && html`<p class="small soft">You only listen. <button type="button" class="button-link" onClick=${() => void microphone.open()}>Turn on the microphone</button></p>`}
    <select id="call-microphone" disabled=${!microphone.ready} onChange=${(/** @type {any} */ event) => microphone.choose(event.target.value)}>
      ${inputs.length === 0 && html`<option>${microphone.waiting ? 'The browser asks you whether Parley may use it…' : 'None'}</option>`}
      ${inputs.map((/** @type {any} */ one) => html`<option key=${one.id} value=${one.id} selected=${one.id === chosen}>${one.name}</option>`)}</select>
    <${Level} /></div>`;
}

function Level() {
  const { session } = useApp();
  const { media } = session.calls;
  if (!media.microphone.value) return null;
  const level = meter(media.level.value);
  return html`<meter class="call-level" min="0" max="1" value=${level} aria-label="Level of your microphone"></meter>
    <p class="field-help">Say something: the bar moves when your microphone hears you.</p>`;
}

/** @param {{devices: any}} props */
function Speaker({ devices }) {
  const { session } = useApp();
  const { calls } = session;
  const outputs = devices?.audiooutput ?? [];
  // Where the browser does not let a page choose, the system does.
  if (outputs.length < 2 || !('setSinkId' in HTMLMediaElement.prototype)) return null;
  return html`<div class="field"><label for="call-speaker">Loudspeaker</label>
    <select id="call-speaker" onChange=${(/** @type {any} */ event) => calls.setSpeaker(event.target.value)}>
      ${outputs.map((/** @type {any} */ one) => html`<option key=${one.id} value=${one.id} selected=${one.id === calls.speaker.value}>${one.name}</option>`)}</select></div>`;
}

/** @param {{onChange: (on: boolean) => void}} props */
function PushToTalk({ onChange }) {
  const { session } = useApp();
  const { calls } = session;
  const change = (/** @type {any} */ event) => { calls.setPushToTalk(event.target.checked); onChange(event.target.checked); };
  return html`<label class="field-row"><input type="checkbox" checked=${calls.pushToTalk.value} onChange=${change} /> <span>Push to talk: I am heard while I hold <kbd>Space</kbd></span></label>`;
}
