/** Editing one's own message where it stands. */

import { html, useApp, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { grow } from './writing.js';
import { editMessage } from '../commands.js';
import { MAX_BODY_CHARACTERS } from '../protocol.js';

/** @param {{message: Parley.Message}} props */
export function EditBox({ message }) {
  const { session, ui } = useApp();
  const [text, setText] = useState(message.body ?? '');
  const [error, setError] = useState('');
  const [busy, setBusy] = useState(false);
  const box = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  useLayoutEffect(() => {
    const area = box.current;
    area?.focus();
    area?.setSelectionRange(area.value.length, area.value.length);
  }, []);
  useEffect(() => { if (box.current) grow(box.current); }, [text]);
  const done = () => {
    ui.editing.value = null;
    /** @type {HTMLElement | null} */ (document.querySelector('.composer textarea'))?.focus();
  };
  const save = async () => {
    const body = text.trim();
    if (!body || body === message.body) return done();
    setBusy(true);
    try {
      await editMessage(session, message, body);
      done();
    } catch (problem) {
      setError(/** @type {Error} */ (problem).message);
      setBusy(false);
    }
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'Escape') {
      event.stopPropagation();
      done();
    } else if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      void save();
    }
  };
  return html`<div class="edit-box">
    <textarea class="input" ref=${box} rows="1" aria-label="Edit the message" maxlength=${MAX_BODY_CHARACTERS} value=${text} disabled=${busy}
      onInput=${(/** @type {InputEvent} */ event) => setText(/** @type {HTMLTextAreaElement} */ (event.target).value)} onKeyDown=${keys}></textarea>
    ${error && html`<p class="field-error" role="alert">${error}</p>`}
    <div class="row"><button type="button" class="button button-primary button-small" disabled=${busy} onClick=${() => void save()}>Save</button>
      <button type="button" class="button button-quiet button-small" onClick=${done}>Cancel</button>
      <span class="small soft">The version before is kept, sealed.</span></div>
  </div>`;
}
