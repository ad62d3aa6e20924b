/**
 * The list of messages. It keeps its place: at the bottom it stays at the bottom; elsewhere
 * the first visible message stays where it is, whatever is added, loaded or taken away.
 */

import { Icon, grouped, html, useApp, useEffect, useLayoutEffect, useMemo, useRef, useState } from './html.js';
import { MessageRow, PendingRow } from './message.js';
import { markRead } from '../commands.js';
import { toRows } from '../rows.js';
import { dayName } from '../time.js';

const NEAR_PX = 48;
const AHEAD_PX = 600;
const READ_AFTER_MS = 250;

/** @param {{conversation: Parley.Conversation}} props */
export function TimelineView({ conversation }) {
  const { session, ui } = useApp();
  const timeline = session.timeline(conversation.id);
  const scroller = useRef(/** @type {HTMLDivElement | null} */ (null));
  const place = useRef(ui.places.get(conversation.id) ?? { atBottom: true, id: '', delta: 0 });
  const [atBottom, setAtBottom] = useState(place.current.atBottom);
  const [newAfter, setNewAfter] = useState(conversation.unread > 0 ? conversation.read : null);
  const messages = timeline.messages.value;
  const pending = session.outbox.entries.value.filter((entry) => entry.conversation === conversation.id && !entry.thread);
  const rows = useMemo(
    () => toRows(messages, timeline.atEnd.value ? pending : [], { me: session.me.id, newAfter }),
    [messages, pending.length, pending.map((entry) => entry.id + entry.state).join(), newAfter, timeline.atEnd.value],
  );

  useLayoutEffect(() => keepPlace(scroller.current, place.current, timeline), [rows, timeline.status.value]);
  useOpening(scroller, place, newAfter, timeline.status.value, ui.highlighted.value);
  useSize(scroller, place, timeline);
  useReading(conversation, messages.at(-1)?.offset ?? 0, atBottom && timeline.atEnd.value, newAfter, setNewAfter);
  useEffect(() => () => { ui.places.set(conversation.id, place.current); }, []);

  const scrolled = () => {
    const box = scroller.current;
    if (!box) return;
    place.current = whereIs(box);
    setAtBottom(place.current.atBottom);
    if (box.scrollTop < AHEAD_PX) void timeline.loadOlder();
    if (!timeline.atEnd.value && box.scrollHeight - box.scrollTop - box.clientHeight < AHEAD_PX) void timeline.loadNewer();
  };
  const toLatest = async () => {
    if (!timeline.atEnd.value) await timeline.loadLatest();
    const box = scroller.current;
    place.current = { atBottom: true, id: '', delta: 0 };
    setAtBottom(true);
    box?.scrollTo({ top: box.scrollHeight });
  };

  const status = timeline.status.value;
  return html`<div class="timeline-place">
    <div class="timeline" ref=${scroller} onScroll=${scrolled} onKeyDown=${arrows} tabindex="-1">
      ${(status === 'loading' || status === 'empty') && html`<${Waiting} />`}
      ${status === 'error' && html`<div class="empty" role="alert"><${Icon} name="circle-alert" /><h2>The messages could not be loaded</h2>
        <p>${timeline.error.value}</p><button type="button" class="button" onClick=${() => void timeline.loadLatest()}>Try again</button></div>`}
      ${status === 'ready' && html`
        <${Beginning} timeline=${timeline} conversation=${conversation} />
        <ol class="messages-list" aria-label="Messages">${rows.map((row, index) => html`<${Row} key=${row.key} row=${row} tail=${index === rows.length - 1} />`)}</ol>`}
    </div>
    ${(!atBottom || !timeline.atEnd.value) && status === 'ready' && html`<button type="button" class="button to-latest" onClick=${() => void toLatest()}>
      <${Icon} name="arrow-down" /> ${conversation.unread > 0 ? `${grouped(conversation.unread)} new` : 'Latest'}</button>`}
  </div>`;
}

/** @param {{row: Parley.Row, tail: boolean}} props */
export function Row({ row, tail }) {
  switch (row.kind) {
    case 'day': return html`<li class="divider"><span>${dayName(row.at)}</span></li>`;
    case 'new': return html`<li class="divider divider-new" id="new-line"><span>New</span></li>`;
    case 'pending': return html`<${PendingRow} entry=${row.entry} grouped=${row.grouped} />`;
    default: return html`<${MessageRow} message=${row.message} grouped=${row.grouped} last=${row.last} tail=${tail} />`;
  }
}

/** @param {{timeline: Parley.Timeline, conversation: Parley.Conversation}} props */
function Beginning({ timeline, conversation }) {
  const { session } = useApp();
  if (timeline.error.value) {
    return html`<p class="timeline-more" role="alert">Older messages could not be loaded. <button type="button" class="button-link"
      onClick=${() => void timeline.loadOlder()}>Try again</button></p>`;
  }
  if (timeline.more.value) return html`<div class="timeline-more" aria-hidden="true"><${Waiting} short /></div>`;
  const title = session.store.title(conversation);
  return html`<div class="timeline-beginning">
    <h2>${conversation.kind === 'direct' ? title : `This is where ${title} begins`}</h2>
    <p class="soft">${timeline.messages.value.length === 0 ? 'Nobody has written yet. ' : ''}Every message is sealed when it is stored, and entered in a log that can be checked.</p>
  </div>`;
}

/** @param {{short?: boolean}} props */
export function Waiting({ short = false }) {
  return html`<div class="timeline-waiting" role="status" aria-label="Messages are loading">
    ${(short ? [1] : [1, 2, 3, 4]).map((row) => html`<div class="waiting-row" key=${row}><div class="skeleton skeleton-face"></div>
      <div class="grow"><div class="skeleton skeleton-line skeleton-44"></div><div class=${`skeleton skeleton-line skeleton-${[84, 70, 52, 76][row - 1]}`}></div></div></div>`)}
  </div>`;
}

/** Up and down go from message to message. @param {KeyboardEvent} event */
function arrows(event) {
  const row = event.target instanceof HTMLElement && event.target.matches('.message') ? event.target : null;
  if (!row || event.altKey || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return;
  const all = /** @type {HTMLElement[]} */ ([...row.closest('ol')?.querySelectorAll('.message') ?? []]);
  const next = all[all.indexOf(row) + (event.key === 'ArrowUp' ? -1 : 1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

/** @param {HTMLElement} box @returns {Parley.Place} */
function whereIs(box) {
  const atBottom = box.scrollHeight - box.scrollTop - box.clientHeight < NEAR_PX;
  for (const element of box.querySelectorAll('[data-id]')) {
    const row = /** @type {HTMLElement} */ (element);
    if (row.offsetTop + row.offsetHeight > box.scrollTop) {
      return { atBottom, id: row.dataset.id ?? '', delta: row.offsetTop - box.scrollTop };
    }
  }
  return { atBottom, id: '', delta: 0 };
}

/** @param {HTMLElement | null} box @param {Parley.Place} place @param {Parley.Timeline} timeline */
function keepPlace(box, place, timeline) {
  if (!box) return;
  if (place.atBottom && timeline.atEnd.value) {
    box.scrollTop = box.scrollHeight;
    return;
  }
  const row = place.id ? /** @type {HTMLElement | null} */ (box.querySelector(`[data-id="${place.id}"]`)) : null;
  if (row) box.scrollTop = row.offsetTop - place.delta;
}

/**
 * On opening, what is new comes into sight: its line when it would be above, else the end.
 * @param {{current: HTMLDivElement | null}} scroller
 * @param {{current: Parley.Place}} place
 * @param {number | null} newAfter
 * @param {string} status
 * @param {string | null} highlighted
 */
function useOpening(scroller, place, newAfter, status, highlighted) {
  useLayoutEffect(() => {
    const box = scroller.current;
    const line = box?.querySelector('#new-line');
    if (!box || status !== 'ready' || newAfter === null || !(line instanceof HTMLElement)) return;
    if (line.offsetTop < box.scrollTop) {
      box.scrollTop = line.offsetTop - 80;
      place.current = whereIs(box);
    }
  }, [status === 'ready']);
  useLayoutEffect(() => {
    const box = scroller.current;
    const row = highlighted ? box?.querySelector(`[data-id="${highlighted}"]`) : null;
    if (!box || !(row instanceof HTMLElement)) return;
    box.scrollTop = row.offsetTop - box.clientHeight / 3;
    place.current = whereIs(box);
    row.focus({ preventScroll: true });
  }, [highlighted, status]);
}

/**
 * A composer that grows, a keyboard that opens, a message being edited take room: the place is kept then too.
 * @param {{current: HTMLDivElement | null}} scroller
 * @param {{current: Parley.Place}} place
 * @param {Parley.Timeline} timeline
 */
function useSize(scroller, place, timeline) {
  useEffect(() => {
    const box = scroller.current;
    if (!box) return undefined;
    const observer = new ResizeObserver(() => keepPlace(box, place.current, timeline));
    observer.observe(box);
    const list = box.querySelector('.messages-list');
    if (list) observer.observe(list);
    return () => observer.disconnect();
  }, [timeline.status.value]);
}

/**
 * Read is what was in sight while the person was here.
 * @param {Parley.Conversation} conversation
 * @param {number} last offset of the newest message
 * @param {boolean} seen the end is in sight
 * @param {number | null} newAfter
 * @param {(offset: number | null) => void} setNewAfter
 */
function useReading(conversation, last, seen, newAfter, setNewAfter) {
  const { session, ui } = useApp();
  const focused = ui.focused.value;
  const { id, read, unread } = conversation;
  useEffect(() => {
    if (!focused || !seen || last <= read || !conversation.member) return undefined;
    const timer = setTimeout(() => markRead(session, id, last), READ_AFTER_MS);
    return () => clearTimeout(timer);
  }, [focused, seen, last, read]);
  useEffect(() => {
    if (unread > 0 && newAfter === null && !focused) setNewAfter(read);
  }, [unread > 0, focused]);
}
