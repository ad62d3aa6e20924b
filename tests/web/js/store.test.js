import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Store, face, initials } from '../../../app/web/static/web/js/store.js';

const ME = { id: 'alice', display_name: 'Alice', role: 'member', organization: { id: 'o', name: 'Acme' } };
const conversation = (id, change = {}) => ({
  id, kind: 'public', name: id, topic: '', member: true, role: 'member', people: [], size: 2,
  position: { epoch: 'a', offset: 10 }, read: 10, unread: 0, last_at: null, ...change,
});

function setUp(list = [conversation('c')]) {
  let now = 0;
  const store = new Store(ME, () => now);
  store.setPeople([{ id: 'alice', display_name: 'Alice' }, { id: 'bob', display_name: 'Bob Ray' }, { id: 'olga', display_name: 'Olga Brandt' }]);
  store.setConversations(list);
  return { store, pass: (ms) => { now += ms; } };
}

const arrive = (store, offset, author = 'bob', thread = null) => store.arrived('c', { author, offset, at: '2026-11-21T08:00:00Z', thread });

test('who is there is what was told last, and a whole leaves nobody else', () => {
  const { store } = setUp();
  store.present({ bob: 'active', olga: 'away' }, true);
  store.present({ olga: 'offline' }, false);
  assert.deepEqual([...store.presence.value], [['bob', 'active'], ['olga', 'offline']]);
  store.present({ eve: 'active' }, true);
  assert.deepEqual([...store.presence.value], [['eve', 'active']]);
});

test('what others write is unread; what I write and replies in threads are not', () => {
  const { store } = setUp();
  arrive(store, 11); arrive(store, 12, 'alice'); arrive(store, 13, 'bob', 'some-message');
  assert.equal(store.conversation('c').unread, 1);
  assert.equal(store.unread.value, 1);
});

test('an event that the list counted already is not counted twice', () => {
  const { store } = setUp([conversation('c', { unread: 3, read: 7 })]);
  arrive(store, 9);
  assert.equal(store.conversation('c').unread, 3);
});

test('a read mark does not hide what came after it was set', () => {
  const { store } = setUp();
  arrive(store, 11); arrive(store, 12);
  store.readMoved('c', 11, 0);
  assert.equal(store.conversation('c').unread, 1);
  store.readMoved('c', 12, 0);
  assert.equal(store.conversation('c').unread, 0);
});

test('a read mark never goes back', () => {
  const { store } = setUp();
  store.readMoved('c', 4, 9);
  assert.deepEqual([store.conversation('c').read, store.conversation('c').unread], [10, 0]);
});

test('lists: mine by name, direct ones by their last message, open ones apart', () => {
  const { store } = setUp([
    conversation('rota'), conversation('admissions'), conversation('open', { member: false }),
    conversation('d1', { kind: 'direct', people: ['alice', 'bob'], last_at: '2026-11-20T00:00:00Z' }),
    conversation('d2', { kind: 'direct', people: ['alice', 'olga', 'bob'], last_at: '2026-11-21T00:00:00Z' }),
  ]);
  assert.deepEqual(store.joined.value.map((one) => one.id), ['admissions', 'rota']);
  assert.deepEqual(store.direct.value.map((one) => one.title), ['Olga, Bob', 'Bob Ray']);
  assert.deepEqual(store.joinable.value.map((one) => one.id), ['open']);
});

test('who types is shown until they stop or their message comes', () => {
  const { store, pass } = setUp();
  store.typed('c', 'bob'); store.typed('c', 'olga'); store.typed('c', 'alice');
  assert.deepEqual([...store.typing.value.get('c').keys()], ['bob', 'olga']);
  arrive(store, 11, 'bob');
  assert.deepEqual([...store.typing.value.get('c').keys()], ['olga']);
  pass(5_001);
  assert.equal(store.sweepTyping(), false);
  assert.equal(store.typing.value.has('c'), false);
});

test('faces: letters and a colour that stay the same', () => {
  assert.deepEqual(['Imani Okafor', 'bob', 'Anne-Marie de Witt', '  ', 'Ægir 2'].map(initials), ['IO', 'B', 'AW', '?', 'Æ2']);
  assert.equal(face('2781b679-05e3-49db-89e1-3072c7161eb7'), face('2781b679-05e3-49db-89e1-3072c7161eb7'));
  assert.ok(face('x') >= 0 && face('x') < 8);
});
