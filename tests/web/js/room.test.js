import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';
import { ConnectionLost, Refused } from '../../../app/web/static/web/js/protocol.js';
import { deviceOf, isSigned } from '../../../app/web/static/web/js/voice/identity.js';
import { Calls } from '../../../app/web/static/web/js/voice/calls.js';
import { applied, roster } from '../../../app/web/static/web/js/voice/roster.js';
import { FakeClock, FakeStorage, settled } from './fakes.js';
import { livekit } from './sfu-fakes.js';
import { FakeConnection, engine, nowhere, participant, quiet } from './voice-fakes.js';

const room = '11111111-1111-4111-8111-111111111111';
const other = '99999999-9999-4999-8999-999999999999';

beforeEach(() => { FakeConnection.all = []; });

function track() {
  return { enabled: true, stopped: false, stop() { this.stopped = true; }, clone: () => track(), getSettings: () => ({}) };
}

/** One person's calls, with a server that a test plays. */
async function setUp({ loudness = 0, library = null } = {}) {
  const clock = new FakeClock();
  const sent = [];
  const answers = { 'voice.ice': () => ({ servers: [], ttl: 600 }) };
  const opened = [];
  const places = new Map();
  const bob = await participant(room, 'pid-of-bob', 'bob');
  const request = async (op, d) => {
    sent.push({ op, d });
    const answer = answers[op];
    if (answer instanceof Error) throw answer;
    if (answer) return answer(d);
    if (op === 'voice.join' || op === 'voice.resume') return place(d, op);
    return {};
  };
  const place = (d, op) => {
    const before = places.get(d.pid);
    const row = { ...before, ...d, gen: d.gen ?? 1, user: 'me', at: '', muted: Boolean(d.muted), muted_by: null, screen: false, video: false };
    places.set(d.pid, row);
    assert.ok(op);
    return {
      conversation: row.conversation, call: 'call', pid: d.pid, gen: row.gen, s: `voice:${row.conversation}`, e: 'e', o: 2,
      participants: row.conversation === room ? [bob.row, row] : [row], ice: { servers: [], ttl: 600 }, capacity: 8, host: true, notice: ['hold'], lease: 20, renew: 5,
    };
  };
  const positions = new Map();
  const streams = {
    placed: (name, at) => { positions.set(name, at); return true; }, position: (name) => positions.get(name) ?? null,
    follow: (name, at) => positions.set(name, at), reset: (name, at) => positions.set(name, at), leave: (name) => positions.delete(name),
  };
  const calls = new Calls({
    me: { id: 'me' }, clock, request, online: () => true, streams, storage: new FakeStorage(),
    api: { get: async () => ({ call: null, participants: [], position: { epoch: '', offset: 0 }, capacity: 8, host: false, notice: [] }) },
    engine: engine('me', library), device: () => deviceOf('me', nowhere),
    devices: { open: async () => { opened.push(track()); return opened.at(-1); }, openScreen: async () => track(), listen: () => ({ level: () => loudness, stop() {} }) },
  });
  const event = (t, d, conversation = room) => calls.happened({ s: `voice:${conversation}`, t, d });
  const ops = (op) => sent.filter((one) => one.op === op).map((one) => one.d);
  return { calls, room: calls.room, clock, sent, answers, bob, event, ops, opened, positions };
}

async function joined(options) {
  const all = await setUp(options);
  await all.calls.join(room, { muted: false });
  await quiet();
  return all;
}

const mine = (all) => all.ops('voice.join').at(-1);

test('joining signs its place with the certificate that its connections use, and offers to who is there', async () => {
  const all = await joined();
  const asked = mine(all);
  assert.equal(await isSigned(room, { ...asked, gen: 1 }), true);
  assert.equal(all.room.phase.value, 'connecting');
  const offer = all.ops('voice.signal').find((one) => one.description);
  assert.equal(offer.to, 'pid-of-bob');
  assert.ok(offer.description.sdp.includes(asked.fingerprint));
  FakeConnection.all.at(-1).becomes('connected');
  assert.equal(all.room.phase.value, 'connected');
  assert.equal(all.calls.view(room).notice[0], 'hold');
});

test('a join without an answer is asked again as it was', async () => {
  const all = await setUp();
  all.answers['voice.join'] = new ConnectionLost();
  const done = all.calls.join(room, { muted: true });
  await quiet();
  await all.clock.pass(1_500);
  delete all.answers['voice.join'];
  await all.clock.pass(1_500);
  await done;
  const asked = all.ops('voice.join');
  assert.ok(asked.length >= 3);
  for (const one of asked) assert.deepEqual(one, asked[0]);
});

test('what the server refuses is told, and the microphone is let go', async () => {
  const all = await setUp();
  all.answers['voice.join'] = new Refused({ code: 120, name: 'room_full', retry: false, message: 'The room is full.' });
  await assert.rejects(all.calls.join(room, { muted: false }), /full/);
  assert.equal(all.room.phase.value, 'idle');
  assert.equal(all.opened[0].stopped, true);
});

test('the lease is renewed every five seconds while there is a connection', async () => {
  const all = await joined();
  await all.clock.pass(20_100);
  assert.equal(all.ops('voice.renew').length, 4);
  assert.deepEqual(all.ops('voice.renew')[0], { pid: mine(all).pid, gen: 1 });
  all.calls.disconnected();
  assert.equal(all.room.phase.value, 'reconnecting');
  await all.clock.pass(20_000);
  assert.equal(all.ops('voice.renew').length, 4);
});

test('a new socket takes the place up in the next generation, and an unanswered question is repeated as it was', async () => {
  const all = await joined();
  all.calls.disconnected();
  all.answers['voice.resume'] = new ConnectionLost();
  all.calls.connected();
  await quiet();
  delete all.answers['voice.resume'];
  all.calls.connected();
  await quiet();
  const [first, second] = all.ops('voice.resume');
  assert.deepEqual(first, second);
  assert.equal(first.gen, 2);
  assert.equal(await isSigned(room, { ...first, key: mine(all).key }), true);
  assert.notEqual(all.room.phase.value, 'reconnecting');
  await all.clock.pass(5_100);
  assert.equal(all.ops('voice.renew').at(-1).gen, 2);
  all.calls.connected();
  await quiet();
  assert.equal(all.ops('voice.resume').at(-1).gen, 3);
});

for (const [reason, by] of [['kicked', 'host'], ['replaced', null], ['revoked', null], ['moved', 'host'], ['room_closed', null]]) {
  test(`${reason}: it is over, everything is let go, and it is said why`, async () => {
    const all = await joined();
    all.event('voice.left', { pid: mine(all).pid, user: 'me', reason, by, at: '' });
    assert.equal(all.room.phase.value, 'left');
    assert.deepEqual(all.room.end.value, { reason, by, conversation: room });
    assert.equal(all.opened[0].stopped, true);
    assert.equal(FakeConnection.all.every((one) => one.connectionState === 'closed'), true);
    const count = all.sent.length;
    await all.clock.pass(60_000);
    assert.equal(all.sent.length, count);
  });
}

test('whose lease ended in a short silence comes back by themselves, muted if they were', async () => {
  const all = await joined();
  await all.calls.mute(true);
  const before = mine(all).pid;
  all.event('voice.left', { pid: before, user: 'me', reason: 'timeout', by: null, at: '' });
  await quiet();
  assert.notEqual(mine(all).pid, before);
  assert.equal(mine(all).muted, true);
  assert.equal(all.opened[0].stopped, false);
  assert.equal(all.room.end.value, null);
});

test('after a long silence nobody is put back on the air', async () => {
  const all = await joined();
  all.calls.disconnected();
  await all.clock.pass(91_000);
  all.event('voice.left', { pid: mine(all).pid, user: 'me', reason: 'timeout', by: null, at: '' });
  await quiet();
  assert.equal(all.ops('voice.join').length, 1);
  assert.equal(all.room.end.value.reason, 'timeout');
  assert.equal(all.opened[0].stopped, true);
});

test('a renewal that is refused waits for the word of the stream: who was removed does not come back', async () => {
  const all = await joined();
  all.answers['voice.renew'] = new Refused({ code: 122, name: 'stale_generation', retry: false, message: '' });
  await all.clock.pass(5_100);
  all.event('voice.left', { pid: mine(all).pid, user: 'me', reason: 'kicked', by: 'host', at: '' });
  await all.clock.pass(10_000);
  await quiet();
  assert.equal(all.ops('voice.join').length, 1);
  assert.equal(all.room.end.value.reason, 'kicked');
});

test('a host’s mute takes effect at once; one who is sent on comes muted', async () => {
  const all = await joined();
  const { pid } = mine(all);
  all.event('voice.changed', { pid, muted: true, muted_by: 'host', screen: false, video: false });
  assert.equal(all.room.tracks.sound.enabled, false);
  assert.equal(all.room.mutedBy.value, 'host');
  all.event('voice.left', { pid, user: 'me', reason: 'moved', by: 'host', at: '' });
  all.calls.summoned({ pid, conversation: other, by: 'host' });
  await quiet();
  assert.equal(mine(all).conversation, other);
  assert.equal(mine(all).muted, true);
  assert.equal(all.opened.at(-1).stopped, false);
  all.calls.summoned({ pid: 'somebody', conversation: room, by: 'host' });
  await quiet();
  assert.equal(mine(all).conversation, other);
});

test('leaving lets go at once and tells the server', async () => {
  const all = await joined();
  const { pid } = mine(all);
  void all.calls.leave();
  assert.deepEqual(all.ops('voice.leave'), [{ pid, gen: 1 }]);
  assert.equal(all.room.phase.value, 'idle');
  assert.equal(all.opened[0].stopped, true);
  await settled();
});

test('speaking into a muted microphone is noticed, and what is sent is silent', async () => {
  const all = await joined({ loudness: 0.3 });
  await all.calls.mute(true);
  await all.clock.pass(200);
  assert.equal(all.calls.unheard.value, true);
  assert.equal(all.room.tracks.sound.enabled, false);
  assert.equal(all.room.hearing.speaking.value.size, 0);
  await all.calls.mute(false);
  await all.clock.pass(200);
  assert.equal(all.room.hearing.speaking.value.has(mine(all).pid), true);
});

test('a roster follows its stream, and events that come twice change nothing', () => {
  const row = (pid) => ({ pid, gen: 1, muted: false });
  let now = roster([row('a')]);
  const joinedB = { t: 'voice.joined', d: { participant: row('b') } };
  now = applied(now, joinedB);
  assert.equal(applied(now, joinedB), now);
  now = applied(now, { t: 'voice.resumed', d: { pid: 'b', gen: 2, fingerprint: 'f', signature: 's' } });
  now = applied(now, { t: 'voice.changed', d: { pid: 'b', muted: true, muted_by: 'x', screen: false, video: true } });
  assert.deepEqual(now.get('b'), { pid: 'b', gen: 2, fingerprint: 'f', signature: 's', muted: true, muted_by: 'x', screen: false, video: true });
  const left = { t: 'voice.left', d: { pid: 'a' } };
  now = applied(now, left);
  assert.deepEqual([...now.keys()], ['b']);
  assert.equal(applied(now, left), now);
  assert.equal(applied(now, { t: 'voice.handover', d: {} }), now);
});

const MEDIA = { url: 'wss://media', token: 'asked for' };

test('a call that grows goes on through the media server, with a token that is asked for then', async () => {
  const { world, library } = livekit();
  const all = await joined({ library });
  FakeConnection.all.at(-1).becomes('connected');
  assert.equal(world.rooms.length, 0);
  all.answers['voice.ice'] = () => ({ servers: [], ttl: 600, sfu: MEDIA });
  all.event('voice.handover', { to: 'sfu', force: true });
  await quiet();
  assert.deepEqual([all.room.atServer.value, all.room.phase.value, all.calls.news.value?.kind], [true, 'connected', 'server']);
  const [media] = world.rooms;
  assert.deepEqual([media.url, media.token, media.localParticipant.log], [MEDIA.url, MEDIA.token, ['publish microphone']]);
  media.arrives('pid-of-bob', 'microphone');
  assert.equal(all.room.views.value.get('pid-of-bob').sound, 'pid-of-bob microphone');
  await all.clock.pass(4_000);
  assert.equal(FakeConnection.all.every((one) => one.connectionState === 'closed'), true, 'the mesh has ended');
  await all.calls.mute(true);
  await quiet();
  assert.equal(media.localParticipant.getTrackPublication('microphone').isMuted, true);
  all.event('voice.handover', { to: 'mesh', force: false });
  assert.deepEqual([all.room.atServer.value, all.calls.news.value?.kind], [false, 'mesh']);
  await all.calls.leave();
  assert.equal(media.state, 'disconnected');
});

test('a call whose media server cannot be reached is over, with words that say so', async () => {
  const { world, library } = livekit();
  world.fail = () => new Error('no way');
  const all = await joined({ library });
  all.answers['voice.ice'] = () => ({ servers: [], ttl: 600, sfu: MEDIA });
  all.event('voice.handover', { to: 'sfu', force: true });
  for (let turn = 0; turn < 15; turn += 1) { await all.clock.pass(5_000); await quiet(); }
  assert.equal(all.room.end.value?.reason, 'sfu_handover');
  assert.equal(all.ops('voice.leave').length, 1, 'the others are told at once');
});

test('after a gap in the room’s stream the place is taken up again, which says where media goes', async () => {
  const all = await joined();
  await all.calls.reload(`voice:${room}`);
  assert.equal(all.ops('voice.resume').length, 1);
});
