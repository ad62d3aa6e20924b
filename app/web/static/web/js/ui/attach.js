/** Choosing files for a message, by button, paste or drop, and seeing them on their way. */

import { Icon, IconButton, html, useApp, useEffect, useRef } from './html.js';
import { fileSize } from './files.js';

/** @param {{add: (files: Iterable<File>) => void}} props */
export function AttachButton({ add }) {
  const field = useRef(/** @type {HTMLInputElement | null} */ (null));
  const chosen = () => {
    const input = field.current;
    if (!input) return;
    add([...input.files ?? []]);
    input.value = ''; // so that the same file can be chosen again
  };
  return html`<${IconButton} icon="paperclip" label="Attach files" onClick=${() => field.current?.click()} />
    <input type="file" multiple hidden ref=${field} onChange=${chosen} data-attach />`;
}

/**
 * What is dropped anywhere in the conversation, or pasted into its text, is attached.
 * @param {{current: HTMLFormElement | null}} form
 * @param {(files: Iterable<File>) => void} add
 */
export function useDropping(form, add) {
  const latest = useRef(add);
  latest.current = add;
  useEffect(() => {
    const area = /** @type {HTMLElement | null} */ (form.current?.closest('.thread, .conversation') ?? null);
    if (!area) return undefined;
    const over = (/** @type {DragEvent} */ event) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      area.classList.add('is-dropping');
    };
    const left = (/** @type {DragEvent} */ event) => {
      if (!(event.relatedTarget instanceof Node) || !area.contains(event.relatedTarget)) area.classList.remove('is-dropping');
    };
    const dropped = (/** @type {DragEvent} */ event) => {
      area.classList.remove('is-dropping');
      if (!event.dataTransfer?.files.length) return;
      event.preventDefault();
      latest.current([...event.dataTransfer.files]);
    };
    area.addEventListener('dragover', over);
    area.addEventListener('dragleave', left);
    area.addEventListener('drop', dropped);
    return () => {
      area.removeEventListener('dragover', over);
      area.removeEventListener('dragleave', left);
      area.removeEventListener('drop', dropped);
    };
  }, []);
}

/** @param {ClipboardEvent} event @param {(files: Iterable<File>) => void} add */
export function pasted(event, add) {
  const files = [...event.clipboardData?.files ?? []];
  // Text comes with a picture of itself from some programs: then the text is meant.
  if (files.length === 0 || event.clipboardData?.types.includes('text/plain')) return;
  event.preventDefault();
  add(files);
}

/** @param {{uploads: Parley.Upload[]}} props */
export function Tray({ uploads }) {
  if (uploads.length === 0) return null;
  return html`<ul class="tray" aria-label="Files for this message">${uploads.map((upload) => html`<${Item} key=${upload.id} upload=${upload} />`)}</ul>`;
}

/** @param {{upload: Parley.Upload}} props */
function Item({ upload }) {
  const { session } = useApp();
  const { id, name, size, state, sent } = upload;
  const under = state === 'sending' || state === 'checking' || state === 'waiting';
  return html`<li class=${`tray-item is-${state}`}>
    <${Icon} name=${state === 'ready' ? 'circle-check' : state === 'failed' ? 'circle-alert' : 'file'} />
    <span class="file-words"><span class="file-name" title=${name}>${name}</span>
      <span class=${`small ${state === 'failed' ? 'field-error' : 'soft'}`} role=${state === 'failed' ? 'alert' : 'status'}>${words(upload, session.link.value.phase === 'ready')}</span>
      ${under && html`<progress max=${Math.max(size, 1)} value=${state === 'checking' ? undefined : sent} aria-label=${`${name} is sent`}></progress>`}</span>
    ${state === 'failed' && html`<${IconButton} icon="refresh-cw" label=${`Send ${name} again`} onClick=${() => session.uploads.retry(id)} />`}
    <${IconButton} icon="x" label=${`Remove ${name}`} onClick=${() => session.uploads.remove(id)} />
  </li>`;
}

/** @param {Parley.Upload} upload @param {boolean} online */
function words({ state, size, sent, error }, online) {
  switch (state) {
    case 'ready': return `${fileSize(size)} · sealed, not sent yet`;
    case 'checking': return 'Being checked and sealed…';
    case 'failed': return `Not sent: ${error}`;
    case 'sending': return `${fileSize(sent)} of ${fileSize(size)}`;
    default: return error ? `${error} Kept here and tried again; remove it to send your text now.` : (online ? `${fileSize(size)} · waiting` : `${fileSize(size)} · goes on when you are online`);
  }
}
