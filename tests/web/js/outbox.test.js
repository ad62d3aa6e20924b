import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forgetOthers } from '../../../app/web/static/web/js/drafts.js';
import { Outbox } from '../../../app/web/static/web/js/outbox.js';
import { FakeClock, FakeStorage, settled } from './fakes.js';

function setUp({ storage = new FakeStorage(), deliver, user = 'alice' } = {}) {
  const clock = new FakeClock();
  const delivered = [];
  let ids = 0;
  const outbox = new Outbox({
    storage, user, clock, newId: () => `id-${(ids += 1)}`,
    deliver: deliver ?? (async (entry) => ({ id: entry.id })),
    onDelivered: (entry) => delivered.push(entry.body),
  });
  return { clock, storage, outbox, delivered };
}

const write = (outbox, body, conversation = 'c') => outbox.add({ conversation, thread: null, body });
const refused = Object.assign(new Error('You may not.'), { retry: false });

test('a message stands at once and leaves when it is acknowledged', async () => {
  const { outbox, delivered, storage } = setUp();
  write(outbox, 'hello');
  assert.equal(outbox.entries.value[0].state, 'sending');
  await settled();
  assert.deepEqual(delivered, ['hello']);
  assert.deepEqual(outbox.entries.value, []);
  assert.equal(storage.length, 0);
});

test('what the network swallowed is sent again under the same id', async () => {
  const ids = [];
  const { outbox, clock } = setUp({ deliver: async (entry) => { ids.push(entry.id); if (ids.length < 3) throw new Error('lost'); return {}; } });
  write(outbox, 'hello');
  await clock.pass(1_000);
  await clock.pass(2_000);
  assert.deepEqual(ids, ['id-1', 'id-1', 'id-1']);
  assert.deepEqual(outbox.entries.value, []);
});

test('the order of writing is kept within a conversation, whatever fails between', async () => {
  const order = [];
  let failures = 2;
  const { outbox, clock } = setUp({ deliver: async (entry) => {
    if (entry.body === '1' && failures > 0) { failures -= 1; throw new Error('lost'); }
    order.push(entry.body);
    return {};
  } });
  for (const body of ['1', '2', '3']) write(outbox, body);
  await settled();
  assert.deepEqual(order, []);
  await clock.pass(10_000);
  assert.deepEqual(order, ['1', '2', '3']);
});

test('one conversation does not wait for another', async () => {
  const order = [];
  const { outbox } = setUp({ deliver: async (entry) => { if (entry.conversation === 'stuck') throw new Error('lost'); order.push(entry.body); return {}; } });
  write(outbox, 'never', 'stuck');
  write(outbox, 'now', 'free');
  await settled();
  assert.deepEqual(order, ['now']);
});

test('what the server refuses fails loudly, stays, and can be tried again', async () => {
  let open = false;
  const { outbox, delivered } = setUp({ deliver: async () => { if (!open) throw refused; return {}; } });
  write(outbox, 'hello');
  await settled();
  assert.deepEqual([outbox.entries.value[0].state, outbox.entries.value[0].error], ['failed', 'You may not.']);
  open = true;
  outbox.retry('id-1');
  await settled();
  assert.deepEqual(delivered, ['hello']);
});

test('a refused message does not hold up those after it', async () => {
  const { outbox, delivered } = setUp({ deliver: async (entry) => { if (entry.body === 'bad') throw refused; return {}; } });
  write(outbox, 'bad');
  write(outbox, 'good');
  await settled();
  assert.deepEqual(delivered, ['good']);
});

test('what was not acknowledged survives a reload, in its order and with its ids', async () => {
  const storage = new FakeStorage();
  const before = setUp({ storage, deliver: () => new Promise(() => {}) });
  for (const body of ['1', '2', '3']) write(before.outbox, body);
  const sent = [];
  const after = setUp({ storage, deliver: async (entry) => { sent.push([entry.id, entry.body]); return {}; } });
  after.outbox.flush();
  await settled();
  assert.deepEqual(sent, [['id-1', '1'], ['id-2', '2'], ['id-3', '3']]);
  assert.equal(storage.length, 0);
});

test('a reconnection does not wait for the pause to pass', async () => {
  let open = false;
  const { outbox, clock, delivered } = setUp({ deliver: async () => { if (!open) throw new Error('lost'); return {}; } });
  write(outbox, 'hello');
  for (let round = 0; round < 6; round += 1) await clock.pass(15_000);
  open = true;
  outbox.flush();
  await settled();
  assert.deepEqual(delivered, ['hello']);
});

test('its event proves a message sent, even when the acknowledgement was lost', async () => {
  const { outbox, storage } = setUp({ deliver: async () => { throw new Error('lost'); } });
  write(outbox, 'hello');
  await settled();
  outbox.remove('id-1');
  assert.deepEqual(outbox.entries.value, []);
  assert.equal(storage.length, 0);
});

test('one person never sees what another left unsent, and signing out forgets', () => {
  const storage = new FakeStorage();
  const alice = setUp({ storage, deliver: () => new Promise(() => {}) });
  write(alice.outbox, 'secret');
  assert.deepEqual(setUp({ storage, user: 'bob' }).outbox.entries.value, []);
  alice.outbox.wipe();
  assert.equal(storage.length, 0);
});

test('a device without room still sends', async () => {
  const storage = new FakeStorage();
  storage.setItem = () => { throw Object.assign(new Error('full'), { name: 'QuotaExceededError' }); };
  const { outbox, delivered } = setUp({ storage });
  write(outbox, 'hello');
  await settled();
  assert.deepEqual(delivered, ['hello']);
});

test('on a shared device the next person finds nothing of the last one', async () => {
  const storage = new FakeStorage();
  storage.setItem('parley:draft:alice:c', 'half a thought');
  storage.setItem('parley:outbox:alice:1', '{}');
  storage.setItem('parley:draft:bob:c', 'his own');
  storage.setItem('appearance', 'dark');
  forgetOthers(storage, 'bob');
  assert.deepEqual([...Array(storage.length).keys()].map((index) => storage.key(index)).sort(), ['appearance', 'parley:draft:bob:c']);
});
