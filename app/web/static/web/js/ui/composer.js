/**
 * Where messages are written. Typing never waits for the network: the text is kept as a
 * draft on this device, and sending only puts it into the outbox.
 */

import { Icon, IconButton, html, plural, useApp, useEffect, useLayoutEffect, useRef, useState } from './html.js';
import { AttachButton, Tray, pasted, useDropping } from './attach.js';
import { MentionList, useMentions } from './mentions.js';
import { grow, wrapSelection } from './writing.js';
import { sendMessage, tellTyping } from '../commands.js';
import { MAX_BODY_CHARACTERS } from '../protocol.js';

const WARN_FROM = MAX_BODY_CHARACTERS - 1000;
const DRAFT_AFTER_MS = 250;
const coarse = matchMedia('(pointer: coarse)');

/** @param {{conversation: Parley.Conversation, thread?: string | null, label: string}} props */
export function Composer({ conversation, thread = null, label }) {
  const { session, ui } = useApp();
  const form = useRef(/** @type {HTMLFormElement | null} */ (null));
  const place = thread ?? conversation.id;
  const [text, setText] = useState(() => session.drafts.read(place));
  const box = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const latest = useRef(text);
  latest.current = text;
  useDraft(place, text, latest);
  useLayoutEffect(() => { if (box.current) grow(box.current); }, [text]);
  useEffect(() => { if (!coarse.matches || thread) box.current?.focus({ preventScroll: true }); }, []);

  const write = (/** @type {string} */ value) => {
    setText(value);
    if (value.trim()) tellTyping(session, conversation.id);
  };
  const mentions = useMentions(box, conversation, text, write);
  const characters = Array.from(text.trim()).length;
  const tooLong = characters > MAX_BODY_CHARACTERS;
  const uploads = session.uploads.at(place);
  const arriving = uploads.filter((one) => one.state !== 'ready').length;
  const nothing = !text.trim() && uploads.length === 0;
  const attach = (/** @type {Iterable<File>} */ files) => {
    const refused = session.uploads.add(place, conversation.id, files);
    if (refused) ui.say(refused, true);
    box.current?.focus();
  };
  useDropping(form, attach);
  const send = () => {
    const body = text.trim();
    if (nothing || tooLong) return;
    if (arriving > 0) {
      ui.say('A file has not arrived yet: wait for it, or remove it.', true);
      return;
    }
    sendMessage(session, conversation.id, thread, body, session.uploads.take(place));
    session.drafts.write(place, '');
    setText('');
    box.current?.focus();
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    if (mentions.keys(event)) return;
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && !coarse.matches) {
      event.preventDefault();
      send();
    } else if (event.key === 'ArrowUp' && !text) {
      editLast(session, ui, place, event);
    } else if ((event.ctrlKey || event.metaKey) && !event.altKey && (event.key === 'b' || event.key === 'i')) {
      event.preventDefault();
      mark(event.key === 'b' ? '**' : '_');
    }
  };
  const mark = (/** @type {string} */ sign) => { if (box.current) write(wrapSelection(box.current, sign)); };
  return html`<form class="composer" ref=${form} onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); send(); }}>
    <${MentionList} mentions=${mentions} />
    <${Tray} uploads=${uploads} />
    <textarea ref=${box} rows="1" placeholder=${label} aria-label=${label} value=${text} autocomplete="off"
      role="combobox" aria-autocomplete="list" aria-expanded=${mentions.open} aria-controls=${mentions.open ? mentions.listId : undefined}
      aria-activedescendant=${mentions.open ? mentions.activeId : undefined}
      onInput=${(/** @type {InputEvent} */ event) => write(/** @type {HTMLTextAreaElement} */ (event.target).value)}
      onPaste=${(/** @type {ClipboardEvent} */ event) => pasted(event, attach)} onKeyDown=${keys} onSelect=${mentions.moved}></textarea>
    <div class="composer-tools">
      <${AttachButton} add=${attach} />
      <${IconButton} icon="bold" label="Bold" keys="Ctrl B" onClick=${() => mark('**')} />
      <${IconButton} icon="italic" label="Italic" keys="Ctrl I" onClick=${() => mark('_')} />
      <${IconButton} icon="code" label="Code" onClick=${() => mark('`')} />
      <${IconButton} icon="at-sign" label="Mention somebody" onClick=${() => mentions.begin()} />
      <span class="grow composer-count" aria-live="polite">${characters > WARN_FROM && html`<span class=${`small ${tooLong ? 'field-error' : 'soft'}`}>
        ${tooLong ? `${plural(characters - MAX_BODY_CHARACTERS, 'character', 'characters')} too many` : `${plural(MAX_BODY_CHARACTERS - characters, 'character', 'characters')} left`}</span>`}</span>
      <button class="button button-primary" disabled=${nothing || tooLong || arriving > 0}><span class="send-word">Send</span><${Icon} name="send-horizontal" /></button>
    </div>
  </form>`;
}

/**
 * @param {string} place
 * @param {string} text
 * @param {{current: string}} latest
 */
function useDraft(place, text, latest) {
  const { session } = useApp();
  useEffect(() => {
    const timer = setTimeout(() => session.drafts.write(place, text), DRAFT_AFTER_MS);
    return () => clearTimeout(timer);
  }, [text]);
  useEffect(() => {
    const keep = () => { session.drafts.write(place, latest.current); };
    addEventListener('pagehide', keep);
    return () => { removeEventListener('pagehide', keep); keep(); };
  }, []);
}

/**
 * @param {Parley.Session} session
 * @param {Parley.Interface} ui
 * @param {string} place
 * @param {KeyboardEvent} event
 */
function editLast(session, ui, place, event) {
  const mine = session.timelines.get(place)?.messages.value.findLast((message) => message.author === session.me.id && !message.deleted_at);
  if (!mine) return;
  event.preventDefault();
  ui.editing.value = mine.id;
}
