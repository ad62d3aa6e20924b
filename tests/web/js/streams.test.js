import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConnectionLost, Refused } from '../../../app/web/static/web/js/protocol.js';
import { Streams } from '../../../app/web/static/web/js/streams.js';
import { settled } from './fakes.js';

const S = 'conversation:1';

/** A server of one stream: what it has, and what it answers. */
function setUp({ epoch = 'a', log = 5, kept = 0 } = {}) {
  const server = { epoch, top: log, kept, asked: [], refuse: null, cut: false };
  const seen = { events: [], lost: [], fresh: [], refused: [] };
  const streams = new Streams({
    request: async (op, d) => {
      server.asked.push([op, d]);
      if (server.cut) throw new ConnectionLost();
      if (server.refuse) throw new Refused(server.refuse);
      if (op !== 'sub') return {};
      const recovered = d.e === undefined || (d.e === server.epoch && d.o >= server.kept);
      const answer = { s: d.s, e: server.epoch, o: server.top, recovered };
      if (recovered && d.e !== undefined) {
        // As on the wire: the reply first, then the suffix in order.
        Promise.resolve().then(() => Promise.resolve()).then(() => {
          for (let o = d.o + 1; o <= answer.o; o += 1) streams.received({ s: d.s, e: server.epoch, o, t: 'x', d: {} });
        });
      }
      return answer;
    },
    onEvent: (frame) => seen.events.push(frame.o ?? frame.t),
    onLost: (name) => seen.lost.push(name),
    onFresh: (name) => seen.fresh.push(name),
    onRefused: (name, code) => seen.refused.push([name, code]),
    pause: async () => {},
  });
  const push = (o, e = server.epoch) => streams.received({ s: S, e, o, t: 'x', d: {} });
  return { server, seen, streams, push };
}

async function following(position, options) {
  const all = setUp(options);
  all.streams.follow(S, position);
  all.streams.resume();
  await settled();
  return all;
}

test('what was missed comes exactly once and in order', async () => {
  const { seen, push } = await following({ epoch: 'a', offset: 2 });
  push(6);
  assert.deepEqual(seen.events, [3, 4, 5, 6]);
});

test('a duplicate is dropped', async () => {
  const { seen, push } = await following({ epoch: 'a', offset: 5 });
  push(6); push(6); push(4);
  assert.deepEqual(seen.events, [6]);
});

test('a gap is asked for again from the last position, and nothing is handed on before', async () => {
  const { seen, server, push } = await following({ epoch: 'a', offset: 5 });
  server.top = 8;
  push(8);
  assert.deepEqual(seen.events, []);
  await settled();
  assert.deepEqual(seen.events, [6, 7, 8]);
  assert.deepEqual(server.asked.at(-1), ['sub', { s: S, e: 'a', o: 5 }]);
});

test('what cannot be recovered is reloaded whole, and continued from there', async () => {
  const { seen, server, streams, push } = await following({ epoch: 'a', offset: 1 }, { kept: 4 });
  assert.deepEqual(seen.lost, [S]);
  push(6);
  assert.deepEqual(seen.events, [], 'nothing in part while it is reloaded');
  server.top = 7;
  streams.reset(S, { epoch: 'a', offset: 6 });
  await settled();
  assert.deepEqual(seen.events, [7]);
});

test('another epoch is a reload', async () => {
  const { seen, server, push } = await following({ epoch: 'a', offset: 5 });
  server.epoch = 'b';
  push(1, 'b');
  await settled();
  assert.deepEqual(seen.lost, [S]);
  assert.deepEqual(seen.events, []);
});

test('after a reconnection each stream is asked for from where it stood', async () => {
  const { seen, server, streams, push } = await following({ epoch: 'a', offset: 5 });
  push(6);
  streams.disconnected();
  server.top = 9;
  streams.resume();
  await settled();
  assert.deepEqual(server.asked.at(-1), ['sub', { s: S, e: 'a', o: 6 }]);
  assert.deepEqual(seen.events, [6, 7, 8, 9]);
});

test('a stream without a position begins at the top and says so', async () => {
  const { seen, streams, push } = await following(null);
  assert.deepEqual(seen.fresh, [S]);
  assert.deepEqual(streams.position(S), { epoch: 'a', offset: 5 });
  push(6);
  assert.deepEqual(seen.events, [6]);
});

test('a subscription that is refused for now is asked for again', async () => {
  const all = setUp();
  all.server.refuse = { code: 111, name: 'rate', retry: true, message: '' };
  all.streams.follow(S, { epoch: 'a', offset: 4 });
  all.streams.resume();
  await Promise.resolve();
  all.server.refuse = null;
  await settled();
  assert.deepEqual(all.seen.events, [5]);
});

test('a stream that one may not follow is dropped and reported', async () => {
  const all = setUp();
  all.server.refuse = { code: 104, name: 'not_found', retry: false, message: '' };
  all.streams.follow(S, null);
  all.streams.resume();
  await settled();
  assert.deepEqual(all.seen.refused, [[S, 104]]);
  assert.equal(all.streams.position(S), null);
});

test('a connection that goes while one asks costs nothing', async () => {
  const all = setUp();
  all.server.cut = true;
  all.streams.follow(S, { epoch: 'a', offset: 3 });
  all.streams.resume();
  await settled();
  all.streams.disconnected();
  all.server.cut = false;
  all.streams.resume();
  await settled();
  assert.deepEqual(all.seen.events, [4, 5]);
});

test('ephemeral events pass without a position', async () => {
  const { seen, streams } = await following({ epoch: 'a', offset: 5 });
  streams.received({ s: S, t: 'typing', d: { user: 'u' } });
  assert.deepEqual(seen.events, ['typing']);
});

test('many streams are asked for a few at a time, the open one first', async () => {
  const asked = [];
  let running = 0;
  let most = 0;
  const streams = new Streams({
    request: async (op, d) => {
      asked.push(d.s);
      running += 1;
      most = Math.max(most, running);
      await Promise.resolve();
      running -= 1;
      return { s: d.s, e: 'a', o: 0, recovered: true };
    },
    onEvent: () => {}, onLost: () => {},
  });
  for (let number = 0; number < 40; number += 1) streams.follow(`conversation:${number}`, { epoch: 'a', offset: 0 });
  streams.resume(['conversation:33']);
  for (let turn = 0; turn < 20; turn += 1) await settled();
  assert.equal(asked[0], 'conversation:33');
  assert.equal(new Set(asked).size, 40);
  assert.ok(most <= 6, `${most} at once`);
});
