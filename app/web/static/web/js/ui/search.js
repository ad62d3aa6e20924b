/** `/`: messages that say something, in all my conversations, as one types. */

import { Icon, html, plural, useApp, useEffect, useRef, useState } from './html.js';
import { Dialog } from './dialog.js';
import { go } from './navigation.js';
import { ApiError } from '../api.js';
import { searchMessages } from '../commands.js';
import { longTime, shortTime } from '../time.js';

const PAUSE_MS = 250;
const FILTERS = [
  ['"bed 12"', 'these words side by side'], ['from:anna', 'written by somebody; from:me too'], ['in:ward-4', 'in one conversation'],
  ['before:2026-11-01', 'earlier than that day'], ['after:2026-11-01', 'on that day or later'],
];

/**
 * @typedef {{status: 'idle' | 'loading' | 'ready' | 'error', asked: string, results: Parley.Result[], next: string | null, reached: string | null, indexed: boolean, told: string}} State
 * @type {State}
 */
const NOTHING = { status: 'idle', asked: '', results: [], next: null, reached: null, indexed: true, told: '' };

/** @param {{query?: string}} props */
export function Search({ query: first = '' }) {
  const app = useApp();
  const { session, ui } = app;
  const [query, setQuery] = useState(first);
  const [state, setState] = useState(NOTHING);
  const [active, setActive] = useState(0);
  const latest = useRef('');
  const list = useRef(/** @type {HTMLUListElement | null} */ (null));
  const asked = query.trim();
  const close = () => { ui.dialog.value = null; };
  const look = async (/** @type {string | null} */ next) => {
    const before = next ? state.results : [];
    setState({ ...(next ? state : { ...NOTHING, results: state.results }), status: 'loading', asked });
    try {
      const page = await searchMessages(session, asked, next);
      if (latest.current === asked) setState({ ...page, status: 'ready', asked, results: [...before, ...page.results], told: '' });
    } catch (error) {
      const fields = error instanceof ApiError ? Object.values(error.fields ?? {}).flat().join(' ') : '';
      const told = fields || (error instanceof Error ? error.message : '');
      if (latest.current === asked) setState({ ...NOTHING, status: 'error', asked, told });
    }
  };
  const connected = session.link.value.since === 0;
  useEffect(() => {
    latest.current = asked;
    setActive(0);
    if (!asked) {
      setState(NOTHING);
      return undefined;
    }
    const timer = setTimeout(() => void look(null), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [asked, connected]);
  useEffect(() => { list.current?.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: 'nearest' }); }, [active]);
  const { results } = state;
  const open = (/** @type {Parley.Result | undefined} */ result) => {
    if (!result) return;
    close();
    go(app, result.conversation, { message: result.message });
  };
  const keys = (/** @type {KeyboardEvent} */ event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || results.length === 0) return;
    event.preventDefault();
    setActive((active + step + results.length) % results.length);
  };
  return html`<${Dialog} title="Search messages" close=${close} class="jump search" bare onSubmit=${() => open(results[active])}>
    <div class="jump-field"><${Icon} name="search" /><input type="text" data-first value=${query} placeholder="Search messages…" autocomplete="off" spellcheck=${false} maxlength="500"
      aria-label="Search messages" role="combobox" aria-expanded=${results.length > 0} aria-controls="search-list" aria-describedby="search-state"
      aria-activedescendant=${results.length ? `search-${active}` : undefined}
      onInput=${(/** @type {InputEvent} */ event) => setQuery(/** @type {HTMLInputElement} */ (event.target).value)} onKeyDown=${keys} />
      <button type="button" class="button button-quiet button-icon" aria-label="Close" onClick=${close}><${Icon} name="x" /></button></div>
    <ul class="jump-list search-list" id="search-list" role="listbox" aria-label="Messages" aria-busy=${state.status === 'loading'} ref=${list}>
      ${results.map((result, index) => html`<${Result} key=${result.message} result=${result} index=${index} chosen=${index === active}
        onPoint=${() => setActive(index)} onOpen=${() => open(result)} />`)}
    </ul>
    <p class=${`search-state small ${state.status === 'error' ? 'field-error' : 'soft'}`} id="search-state" role="status">${told(state, connected)}</p>
    ${!asked && html`<dl class="search-filters small">${FILTERS.map(([word, what]) => html`<dt><code>${word}</code></dt><dd class="soft">${what}</dd>`)}</dl>`}
    ${state.next && state.status === 'ready' && html`<button type="button" class="button button-small" onClick=${() => void look(state.next)}>Look further back</button>`}
  <//>`;
}

/** @param {State} state @param {boolean} connected */
function told({ status, results, next, reached, indexed, told: why }, connected) {
  if (status === 'error') return connected ? why : 'You are offline: searching needs a connection. It goes on when you are back.';
  if (status === 'loading') return results.length ? '' : 'Searching…';
  if (status === 'idle') return '';
  const found = results.length ? plural(results.length, 'message', 'messages') : next ? 'Nothing yet' : 'No message of yours says that. Whole words are found, not parts of them';
  const back = next && reached ? `, looked back to ${longTime(reached)}` : '';
  const slow = indexed ? '' : ' Messages are opened one by one: your organization keeps no search index, or is still building it.';
  return `${found}${back}.${slow}`;
}

/** @param {{result: Parley.Result, index: number, chosen: boolean, onPoint: () => void, onOpen: () => void}} props */
function Result({ result, index, chosen, onPoint, onOpen }) {
  const { store } = useApp().session;
  const conversation = store.conversation(result.conversation);
  return html`<li id=${`search-${index}`} role="option" aria-selected=${chosen} onPointerMove=${onPoint} onClick=${onOpen}>
    <p class="search-head small soft"><strong>${store.name(result.author)}</strong> <span class="truncate">${conversation ? store.title(conversation) : ''}</span>
      <time dateTime=${result.at} title=${longTime(result.at)}>${shortTime(result.at)}</time>${result.edited_at ? ' · edited' : ''}${result.thread ? ' · in a thread' : ''}</p>
    <p class="search-text">${result.pieces.map(({ text, hit }) => (hit ? html`<mark>${text}</mark>` : text))}</p></li>`;
}
