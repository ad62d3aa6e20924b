import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Connection } from '../../../app/web/static/web/js/connection.js';
import { ConnectionLost, Refused } from '../../../app/web/static/web/js/protocol.js';
import { FakeClock, FakeSocket, settled } from './fakes.js';

function setUp({ ticket = async () => 'a ticket', random = () => 0.5 } = {}) {
  const clock = new FakeClock();
  const sockets = [];
  const seen = { states: [], events: [], ready: 0 };
  const connection = new Connection({
    clock, random, ticket,
    open: () => { sockets.push(new FakeSocket()); return sockets.at(-1); },
    onEvent: (frame) => seen.events.push(frame),
    onState: (state) => seen.states.push(state),
    onReady: () => { seen.ready += 1; },
  });
  return { clock, sockets, seen, connection };
}

async function connected(options) {
  const all = setUp(options);
  all.connection.start();
  await welcome(all);
  return all;
}

async function welcome({ sockets }) {
  await settled();
  sockets.at(-1).opens();
  await settled();
  sockets.at(-1).answers('connect', { session: 's', user: 'u', limits: {}, ping: 25 });
  await settled();
}

test('the ticket goes in the first frame and never in the address', async () => {
  const { sockets, connection, seen } = await connected();
  assert.deepEqual(sockets[0].sent[0], { id: 1, op: 'connect', d: { ticket: 'a ticket', client: 'web/1' } });
  assert.equal(connection.ready, true);
  assert.equal(seen.ready, 1);
  assert.equal(seen.states.at(-1).phase, 'ready');
});

test('a lost connection comes back after a pause with jitter that doubles up to 20 s', async () => {
  const { clock, sockets, connection } = await connected({ random: () => 1 });
  sockets[0].ends(1006);
  assert.equal(connection.state.phase, 'waiting');
  for (const pause of [500, 1000, 2000, 4000, 8000, 16_000, 20_000, 20_000]) {
    const before = sockets.length;
    await clock.pass(pause - 1);
    assert.equal(sockets.length, before, `too early in a pause of ${pause}`);
    await clock.pass(1);
    assert.equal(sockets.length, before + 1, `too late in a pause of ${pause}`);
    sockets.at(-1).ends(1006);
    await settled();
  }
});

test('after 45xx it stops, after 41xx it comes back', async () => {
  for (const code of [4501, 4503, 4505]) {
    const { clock, sockets, seen } = await connected();
    sockets[0].ends(code);
    await clock.pass(120_000);
    assert.equal(sockets.length, 1);
    assert.deepEqual([seen.states.at(-1).phase, seen.states.at(-1).code], ['stopped', code]);
  }
  for (const code of [4101, 4108, 4110, 4112]) {
    const { clock, sockets } = await connected();
    sockets[0].ends(code);
    await clock.pass(500);
    assert.equal(sockets.length, 2);
  }
});

test('a ticket that is refused because one is signed out stops it', async () => {
  const refusal = Object.assign(new Error('signed out'), { status: 401 });
  const { connection, clock, sockets, seen } = setUp({ ticket: async () => { throw refusal; } });
  connection.start();
  await clock.pass(60_000);
  assert.equal(sockets.length, 0);
  assert.equal(seen.states.at(-1).code, 401);
});

test('a ticket that the network withholds is asked for again', async () => {
  let asked = 0;
  const { connection, clock } = setUp({ ticket: async () => { asked += 1; throw new Error('offline'); } });
  connection.start();
  await clock.pass(10_000);
  assert.ok(asked > 3);
});

test('every request is settled, also by the loss of the connection', async () => {
  const { sockets, connection } = await connected();
  const answered = connection.request('read', { conversation: 'c', offset: 1 });
  sockets[0].answers('read', { unread: 0 });
  assert.deepEqual(await answered, { unread: 0 });

  const refused = connection.request('send', {});
  sockets[0].receives({ id: sockets[0].last('send').id, err: { code: 103, name: 'denied', retry: false, message: 'No.' } });
  await assert.rejects(refused, (error) => error instanceof Refused && error.code === 103 && error.retry === false);

  const cut = connection.request('send', {});
  sockets[0].ends(1006);
  await assert.rejects(cut, ConnectionLost);
  await assert.rejects(connection.request('send', {}), ConnectionLost);
});

test('a ping that nobody answers within 10 s ends the connection', async () => {
  const { clock, sockets, connection } = await connected();
  await clock.pass(25_000);
  assert.equal(sockets[0].last('ping').op, 'ping');
  await clock.pass(9_999);
  assert.equal(connection.ready, true);
  await clock.pass(1);
  assert.equal(connection.ready, false);
  assert.notEqual(sockets[0].closed, null);
});

test('answered pings go on for ever', async () => {
  const { clock, sockets, connection } = await connected();
  for (let round = 0; round < 5; round += 1) {
    await clock.pass(25_000);
    sockets[0].answers('ping');
    await settled();
  }
  assert.equal(connection.ready, true);
  assert.equal(sockets.length, 1);
});

test('a draining server is left for a new socket before the old one is closed', async () => {
  const all = await connected();
  const { clock, sockets, connection, seen } = all;
  sockets[0].receives({ op: 'reconnect', d: { after_ms: 700 } });
  await clock.pass(700);
  assert.equal(sockets.length, 2);
  assert.equal(connection.ready, true, 'the old one serves meanwhile');
  await welcome(all);
  assert.equal(seen.ready, 2);
  assert.equal(sockets[0].closed, null);
  await clock.pass(2_000);
  assert.equal(sockets[0].closed, 1000);
  assert.equal(connection.ready, true);
  assert.ok(!seen.states.some((state) => state.phase === 'waiting'));
});

test('it renews its socket between 50 and 57 minutes', async () => {
  const all = await connected({ random: () => 0 });
  const { clock, sockets } = all;
  for (let minute = 0; minute < 50 * 60; minute += 25) {
    await clock.pass(25_000);
    if (sockets[0].last('ping')) sockets[0].answers('ping');
    await settled();
  }
  assert.equal(sockets.length, 2);
});

test('a renewal that fails leaves the old socket in service and is tried again', async () => {
  const all = await connected();
  const { clock, sockets, connection } = all;
  sockets[0].receives({ op: 'reconnect', d: { after_ms: 0 } });
  await clock.pass(0);
  sockets[1].ends(1006);
  await settled();
  assert.equal(connection.ready, true);
  await clock.pass(20_000);
  assert.equal(sockets.length, 3);
});

test('waking tries at once instead of after the pause', async () => {
  const { sockets, connection } = await connected({ random: () => 1 });
  sockets[0].ends(1006);
  connection.wake();
  await settled();
  assert.equal(sockets.length, 2);
});

test('since when there is no connection is told from the first loss on', async () => {
  const { clock, sockets, seen } = await connected();
  await clock.pass(5_000);
  const lost = clock.now();
  sockets[0].ends(1006);
  await clock.pass(3_000);
  assert.equal(seen.states.at(-1).since, lost);
});

test('nothing is asked of a connection that was stopped while its ticket was under way', async () => {
  let give;
  const { connection, sockets } = setUp({ ticket: () => new Promise((resolve) => { give = resolve; }) });
  connection.start();
  connection.stop();
  give('late');
  await settled();
  assert.equal(sockets.length, 0);
});
