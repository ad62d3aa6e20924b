import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { sign } from '../../../app/web/static/web/js/voice/identity.js';
import { Mesh } from '../../../app/web/static/web/js/voice/mesh.js';
import { FakeClock } from './fakes.js';
import { FakeConnection, engine, fingerprintOf, participant, quiet } from './voice-fakes.js';

const room = '11111111-1111-4111-8111-111111111111';
const ICE = { servers: [{ urls: ['turn:relay'], username: 'u', credential: 'c' }], ttl: 600 };

beforeEach(() => { FakeConnection.all = []; });

const connections = (mesh) => [...mesh.members.values()].flatMap(({ peer }) => peer?.connection ?? []);

/** Meshes of some people on one wire, which may lose what `drop` says. */
async function meet(names, { drop = () => false } = {}) {
  const clock = new FakeClock();
  const people = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await participant(room, `pid-${name}`, name)])));
  const sent = [];
  const asked = [];
  const meshes = {};
  for (const name of names) {
    meshes[name] = new Mesh({
      me: `pid-${name}`, conversation: room, ice: ICE, relayOnly: false, clock, certificate: { fingerprint: fingerprintOf(name) },
      connect: engine(name).connect,
      askIce: async () => { asked.push(name); return { ...ICE, servers: [{ ...ICE.servers[0], username: 'fresh' }] }; },
      send: (to, gen, signal) => {
        sent.push({ from: name, to, gen, signal });
        if (!drop(sent.at(-1), sent.length)) queueMicrotask(() => meshes[to.slice(4)]?.received(`pid-${name}`, structuredClone(signal)));
      },
    });
  }
  const rows = (...who) => who.map((name) => people[name].row);
  const state = (name, other) => meshes[name].views.value.get(`pid-${other}`)?.state;
  return { clock, people, meshes, sent, asked, rows, state };
}

test('who joins offers to everybody who is there, and all are connected', async () => {
  const { meshes, rows, state, sent } = await meet(['a', 'b', 'c']);
  meshes.a.send('sound', 'a speaks');
  meshes.a.update(rows('a'), true);
  meshes.b.update(rows('a', 'b'), true);
  meshes.a.update(rows('a', 'b'));
  await quiet();
  for (const name of ['a', 'b']) meshes[name].update(rows('a', 'b', 'c'));
  meshes.c.update(rows('a', 'b', 'c'), true);
  await quiet();
  for (const [one, other] of ['ab', 'ba', 'ac', 'ca', 'bc', 'cb']) assert.equal(state(one, other), 'connected', one + other);
  const offers = sent.filter(({ signal }) => signal.description?.type === 'offer').map(({ from, to }) => from + to);
  assert.deepEqual(offers.sort(), ['bpid-a', 'cpid-a', 'cpid-b']); // which of two is proven first, WebCrypto's threads decide
  assert.deepEqual(Object.keys(sent.find(({ signal }) => signal.candidate).signal.candidate), ['candidate', 'sdpMid', 'sdpMLineIndex', 'usernameFragment']);
  assert.equal(FakeConnection.all.length, 6);
  assert.deepEqual(connections(meshes.a)[0].transceivers.map(({ sender, direction }) => [sender.track, direction]), [['a speaks', 'sendrecv'], [null, 'sendrecv'], [null, 'sendrecv']]);
  meshes.a.send('screen', 'a shows');
  assert.equal(connections(meshes.a)[1].transceivers[2].sender.track, 'a shows');
});

test('whoever has left is let go, and what they still signal is not listened to', async () => {
  const { meshes, rows, state } = await meet(['a', 'b']);
  meshes.a.update(rows('a', 'b'));
  meshes.b.update(rows('a', 'b'), true);
  await quiet();
  meshes.a.update(rows('a'));
  assert.equal(meshes.a.views.value.size, 0);
  meshes.a.received('pid-b', { neg: '1.9p', description: { type: 'offer', sdp: '' } });
  assert.equal(FakeConnection.all.filter((one) => one.connectionState === 'closed').length, 1);
  assert.equal(state('b', 'a'), 'connected');
});

test('an offer that is lost is made again', async () => {
  const { meshes, rows, state, clock } = await meet(['a', 'b'], { drop: (_, count) => count <= 2 });
  meshes.a.update(rows('a', 'b'));
  meshes.b.update(rows('a', 'b'), true);
  await quiet();
  assert.equal(state('a', 'b'), 'connecting');
  await clock.pass(6_000);
  await quiet();
  assert.deepEqual([state('a', 'b'), state('b', 'a')], ['connected', 'connected']);
});

test('a way that fails is mended with fresh credentials, on the same connection', async () => {
  const { meshes, rows, state, clock, asked } = await meet(['a', 'b']);
  meshes.a.update(rows('a', 'b'));
  meshes.b.update(rows('a', 'b'), true);
  await quiet();
  const [connection] = connections(meshes.b);
  await clock.pass(31_000);
  connection.becomes('failed');
  assert.equal(state('b', 'a'), 'interrupted');
  await clock.pass(500);
  await quiet();
  assert.equal(state('b', 'a'), 'connected');
  assert.equal(connections(meshes.b)[0], connection);
  assert.equal(connection.restarts, 1);
  assert.deepEqual(asked, ['b']);
  assert.equal(connection.configuration.iceServers[0].username, 'fresh');
});

test('a connection that cannot be mended is made anew by both sides, once', async () => {
  const { meshes, rows, state, clock } = await meet(['a', 'b']);
  meshes.a.update(rows('a', 'b'));
  meshes.b.update(rows('a', 'b'), true);
  await quiet();
  const before = [...FakeConnection.all];
  for (const one of before) one.setRemoteDescription = async () => { throw new Error('broken'); };
  for (const one of before) one.becomes('failed');
  for (let turn = 0; turn < 8; turn += 1) { await clock.pass(4_000); await quiet(); }
  assert.deepEqual([state('a', 'b'), state('b', 'a')], ['connected', 'connected']);
  assert.equal(before.every((one) => one.connectionState === 'closed'), true);
  assert.equal(FakeConnection.all.filter((one) => one.connectionState === 'connected').length, 2);
});

test('before credentials expire there are new ones, and one side takes a new way', async () => {
  const { meshes, rows, clock, asked } = await meet(['a', 'b']);
  meshes.a.update(rows('a', 'b'));
  meshes.b.update(rows('a', 'b'), true);
  await quiet();
  await clock.pass(421_000);
  await quiet();
  assert.deepEqual(asked.sort(), ['a', 'b']);
  assert.equal(FakeConnection.all.reduce((sum, one) => sum + one.restarts, 0), 1);
});

test('a participant whose own key did not sign is not connected to', async () => {
  const { meshes, people, state } = await meet(['a', 'b']);
  const forged = { ...people.b.row, fingerprint: fingerprintOf('mallory') };
  meshes.a.update([people.a.row, forged], true);
  await quiet();
  assert.equal(state('a', 'b'), 'unproven');
  assert.equal(FakeConnection.all.length, 0);
});

test('a description with another certificate than the announced one is not taken', async () => {
  const { meshes, rows, state, people } = await meet(['a', 'b']);
  meshes.a.update(rows('a', 'b'));
  await quiet();
  meshes.a.received('pid-b', { neg: '1.1i', description: { type: 'offer', sdp: `a=fingerprint:sha-256 ${fingerprintOf('mallory')}\r\n` } });
  assert.equal(state('a', 'b'), 'unproven');
  assert.equal(FakeConnection.all.every((one) => one.connectionState === 'closed' && one.remote === null), true);
  assert.ok(people);
});

test('who takes up the place again must have signed it for the new generation, and is signalled in it', async () => {
  const { meshes, rows, state, people, sent } = await meet(['a', 'b']);
  meshes.a.update(rows('a', 'b'));
  meshes.b.update(rows('a', 'b'), true);
  await quiet();
  const { device, row } = people.b;
  const resumed = { ...row, gen: 2, signature: await sign(device, room, row.pid, 2, row.fingerprint) };
  meshes.a.update([people.a.row, resumed]);
  await quiet();
  assert.equal(state('a', 'b'), 'connected');
  connections(meshes.a)[0].restartIce();
  await quiet();
  assert.equal(sent.findLast(({ from }) => from === 'a').gen, 2);
  meshes.a.update([people.a.row, { ...resumed, gen: 3 }]);
  await quiet();
  assert.equal(state('a', 'b'), 'unproven');
});
