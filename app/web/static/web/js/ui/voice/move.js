/** A host sends somebody on to the call of another conversation. */

import { Actions, Dialog } from '../dialog.js';
import { html, useApp, useState } from '../html.js';

/** @param {{participant: Parley.Participant}} props */
export function MoveCall({ participant }) {
  const { session, ui } = useApp();
  const { calls, store } = session;
  const here = calls.room.place.value?.conversation ?? session.active.value;
  const rooms = store.joined.value.filter((one) => one.id !== here);
  const [to, setTo] = useState(rooms[0]?.id ?? '');
  const [busy, setBusy] = useState(false);
  const name = store.name(participant.user);
  const move = async () => {
    setBusy(true);
    if (await ui.attempt(() => calls.move(participant.pid, to))) ui.dialog.value = null;
    else setBusy(false);
  };
  return html`<${Dialog} title=${`Move ${name} to another call`} close=${() => { ui.dialog.value = null; }} onSubmit=${() => void move()}
    foot=${html`<${Actions} ui=${ui} name="Move" busy=${busy} disabled=${!to} />`}>
    <div class="field"><label for="move-to">To the call in</label>
      <select id="move-to" onChange=${(/** @type {any} */ event) => setTo(event.target.value)}>${rooms.map((one) => html`<option key=${one.id} value=${one.id} selected=${one.id === to}>${one.title}</option>`)}</select>
      <p class="field-help">${name} leaves this call and comes into that one, muted. It has to be a conversation that ${name} is in.</p></div>
  <//>`;
}
