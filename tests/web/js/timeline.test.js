import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Timeline } from '../../../app/web/static/web/js/timeline.js';

const message = (offset, change = {}) => ({
  id: `m${offset}`, conversation: 'c', author: 'alice', body: `text ${offset}`, at: '2026-11-21T08:00:00Z', offset,
  revision: 1, edited_at: null, deleted_at: null, thread: null, replies: null, reactions: [], log: null, ...change,
});
const page = (messages, offset, more = false) => ({ messages, position: { epoch: 'a', offset }, more });
const event = (o, t, d) => ({ s: 'conversation:c', e: 'a', o, t, d });
const created = (o, d = {}) => event(o, 'message.created', { id: `m${o}`, author: 'bob', body: 'new', thread: null, at: '2026-11-21T08:01:00Z', revision: 1, entry: 1, ...d });

async function loaded(messages, offset, more = false) {
  const pages = [];
  const timeline = new Timeline('c', null, async (window) => pages.shift()?.(window) ?? page(messages, offset, more));
  await timeline.loadLatest();
  return { timeline, pages, shown: () => timeline.messages.value.map((one) => one.id) };
}

test('a new message is appended once', async () => {
  const { timeline, shown } = await loaded([message(1)], 1);
  timeline.apply(created(2));
  timeline.apply(created(2));
  assert.deepEqual(shown(), ['m1', 'm2']);
});

test('an event that came while the page was on its way is applied to it', async () => {
  let give;
  const timeline = new Timeline('c', null, () => new Promise((resolve) => { give = resolve; }));
  const loading = timeline.loadLatest();
  timeline.apply(created(3));
  timeline.apply(event(4, 'message.edited', { id: 'm1', revision: 2, body: 'better', by: 'alice', at: '2026-11-21T08:02:00Z' }));
  give(page([message(1), message(2)], 2));
  await loading;
  assert.deepEqual(timeline.messages.value.map((one) => one.body), ['better', 'text 2', 'new']);
});

test('an event that the page counts already is not applied again', async () => {
  const { timeline } = await loaded([message(1, { replies: { count: 1, last_at: '2026-11-21T08:00:30Z' } })], 5);
  timeline.apply(created(4, { id: 'r1', thread: 'm1' }));
  assert.equal(timeline.messages.value[0].replies.count, 1);
  timeline.apply(created(6, { id: 'r2', thread: 'm1' }));
  assert.equal(timeline.messages.value[0].replies.count, 2);
});

test('a reply does not stand in the conversation, only in its thread', async () => {
  const { timeline, shown } = await loaded([message(1)], 1);
  timeline.apply(created(2, { id: 'r1', thread: 'm1' }));
  assert.deepEqual(shown(), ['m1']);
  const thread = new Timeline('c', 'm1', async () => page([message(1)], 1));
  await thread.loadLatest();
  thread.apply(created(2, { id: 'r1', thread: 'm1' }));
  thread.apply(created(3, { id: 'r9', thread: 'm7' }));
  assert.deepEqual(thread.messages.value.map((one) => one.id), ['m1', 'r1']);
});

test('an older edition of a message never replaces a newer one', async () => {
  const { timeline } = await loaded([message(1, { revision: 3, body: 'third' })], 1);
  timeline.apply(event(9, 'message.edited', { id: 'm1', revision: 2, body: 'second', at: '' }));
  assert.equal(timeline.messages.value[0].body, 'third');
});

test('a deleted message keeps its place and loses its text and reactions', async () => {
  const { timeline } = await loaded([message(1, { reactions: [{ emoji: '👍', users: ['bob'] }] })], 1);
  timeline.apply(event(2, 'message.deleted', { id: 'm1', revision: 2, by: 'alice', at: '2026-11-21T09:00:00Z' }));
  const [gone] = timeline.messages.value;
  assert.deepEqual([gone.body, gone.deleted_at, gone.reactions], [null, '2026-11-21T09:00:00Z', []]);
});

test('reactions are sets of people, in whatever order their events come', async () => {
  const { timeline } = await loaded([message(1)], 1);
  const react = (o, on, user) => timeline.apply(event(o, on ? 'reaction.added' : 'reaction.removed', { id: 'm1', user, emoji: '👍' }));
  react(2, true, 'bob'); react(3, true, 'bob'); react(4, true, 'olga'); react(5, false, 'bob');
  assert.deepEqual(timeline.messages.value[0].reactions, [{ emoji: '👍', users: ['olga'] }]);
  react(6, false, 'olga');
  assert.deepEqual(timeline.messages.value[0].reactions, []);
});

test('the log index is the one of the message, not of a later reaction to it', async () => {
  const { timeline } = await loaded([message(1)], 1);
  const seal = (index) => timeline.apply({ s: 'conversation:c', t: 'log.sealed', d: { entries: [['m1', index]], size: index + 1 } });
  seal(7); seal(9);
  assert.deepEqual(timeline.messages.value[0].log, { index: 7 });
});

test('older messages are put before, and a failure says so without losing any', async () => {
  const { timeline, pages, shown } = await loaded([message(5)], 5, true);
  pages.push(() => { throw new Error('no network'); });
  await timeline.loadOlder();
  assert.equal(timeline.error.value, 'no network');
  assert.deepEqual(shown(), ['m5']);
  pages.push((window) => { assert.deepEqual(window, { before: 5 }); return page([message(3), message(4)], 6, false); });
  await timeline.loadOlder();
  assert.deepEqual(shown(), ['m3', 'm4', 'm5']);
  assert.equal(timeline.error.value, '');
  assert.equal(timeline.more.value, false);
});

test('around an old message nothing new is appended until the end is loaded', async () => {
  const { timeline, pages, shown } = await loaded([message(90)], 90, true);
  pages.push(() => page([message(9), message(10)], 95, true), () => page([message(11)], 95, true));
  await timeline.loadAround(10);
  assert.deepEqual(shown(), ['m9', 'm10', 'm11']);
  timeline.apply(created(96));
  assert.deepEqual(shown(), ['m9', 'm10', 'm11']);
  pages.push(() => page([message(96)], 96, false));
  await timeline.loadNewer();
  timeline.apply(created(97));
  assert.deepEqual(shown(), ['m9', 'm10', 'm11', 'm96', 'm97']);
});

test('my acknowledged message stands in its place before its event comes', async () => {
  const { timeline, shown } = await loaded([message(1), message(3)], 3);
  timeline.confirm(message(2));
  timeline.apply(created(2));
  assert.deepEqual(shown(), ['m1', 'm2', 'm3']);
});

test('a first page that does not come is an error that can be retried', async () => {
  let works = false;
  const timeline = new Timeline('c', null, async () => { if (!works) throw new Error('no network'); return page([message(1)], 1); });
  await timeline.loadLatest();
  assert.equal(timeline.status.value, 'error');
  works = true;
  await timeline.loadLatest();
  assert.equal(timeline.status.value, 'ready');
});

test('a message that an event does not touch stays the same object', async () => {
  const { timeline } = await loaded([message(1), message(2)], 2);
  const [first] = timeline.messages.value;
  timeline.apply(event(3, 'reaction.added', { id: 'm2', user: 'bob', emoji: '👍' }));
  assert.equal(timeline.messages.value[0], first);
});

test('an answer that comes after everything was replaced is too late', async () => {
  const gives = [];
  const timeline = new Timeline('c', null, () => new Promise((resolve) => { gives.push(resolve); }));
  const latest = timeline.loadLatest();
  const around = timeline.loadAround(3);
  gives[1](page([message(2), message(3)], 99, false));
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
  gives[2](page([message(4)], 99, true));
  await around;
  gives[0](page([message(99)], 99, true));
  await latest;
  assert.deepEqual(timeline.messages.value.map((one) => one.id), ['m2', 'm3', 'm4']);
});
