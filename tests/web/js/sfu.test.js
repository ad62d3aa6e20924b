import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sfu } from '../../../app/web/static/web/js/voice/sfu.js';
import { FakeClock } from './fakes.js';
import { livekit } from './sfu-fakes.js';
import { participant, quiet } from './voice-fakes.js';

const room = '11111111-1111-4111-8111-111111111111';

async function setUp({ given = { url: 'wss://media', token: 'first' }, fail } = {}) {
  const clock = new FakeClock();
  const { world, library } = livekit();
  if (fail) world.fail = fail;
  const state = { asked: 0, lost: 0, online: true, token: (count) => ({ url: 'wss://media', token: `token ${count}` }) };
  const people = { bob: (await participant(room, 'pid-bob', 'bob')).row, eve: { ...(await participant(room, 'pid-eve', 'eve')).row, gen: 7 } };
  const sfu = new Sfu({
    me: 'pid-me', conversation: room, given, clock,
    ask: async () => state.token(state.asked += 1), load: async () => library,
    online: () => state.online, lost: () => { state.lost += 1; sfu.close(); },
  });
  sfu.update([{ pid: 'pid-me' }, people.bob]);
  await quiet();
  return { clock, world, sfu, state, people, there: () => world.rooms.at(-1), me: () => world.rooms.at(-1).localParticipant };
}

const view = (all, pid = 'pid-bob') => all.sfu.views.value.get(pid);

test('who is there is shown with what comes from them, and who has no place is not', async () => {
  const all = await setUp();
  assert.deepEqual(view(all), { state: 'connecting', sound: null, camera: null, screen: null });
  all.there().arrives('pid-bob', 'microphone', 'screen_share');
  all.there().arrives('pid-stranger', 'microphone');
  assert.deepEqual(view(all), { state: 'connected', sound: 'pid-bob microphone', camera: null, screen: 'pid-bob screen_share' });
  assert.deepEqual([...all.sfu.views.value.keys()], ['pid-bob']);
  assert.deepEqual(all.sfu.sources().map(([pid, source]) => [pid, source.level()]), [['pid-bob', 0.5]]);
  all.there().remoteParticipants.get('pid-bob').trackPublications.get('microphone').track.receiver.getSynchronizationSources = () => [{}];
  all.there().remoteParticipants.get('pid-bob').audioLevel = 0.3;
  assert.equal(all.sfu.sources()[0][1].level(), 0.3, 'where packets do not tell, the server does');
  all.sfu.update([]);
  assert.equal(all.sfu.views.value.size, 0);
  assert.deepEqual(all.sfu.sources(), []);
});

test('whoever has not signed their place is not heard', async () => {
  const all = await setUp();
  all.sfu.update([all.people.eve]);
  all.there().arrives('pid-eve', 'microphone');
  assert.equal(view(all, 'pid-eve').sound, null);
  await quiet();
  assert.deepEqual(all.sfu.sources(), []);
  assert.deepEqual(view(all, 'pid-eve'), { state: 'unproven', sound: null, camera: null, screen: null });
});

test('nothing is sent before it is time; then everything is, and changes follow one another', async () => {
  const all = await setUp();
  all.sfu.send('sound', 'voice');
  all.sfu.mute(true);
  await quiet();
  assert.deepEqual(all.me().log, []);
  assert.equal(all.sfu.sent, false);
  all.sfu.begin();
  await quiet();
  assert.equal(all.sfu.sent, true);
  assert.equal(all.me().getTrackPublication('microphone').isMuted, true);
  all.sfu.mute(false);
  all.sfu.send('sound', 'another voice');
  all.sfu.send('screen', 'window');
  all.sfu.send('screen', null);
  all.sfu.send('camera', 'face');
  await quiet();
  all.sfu.send('camera', null);
  await quiet();
  assert.equal(all.me().getTrackPublication('microphone').isMuted, false);
  assert.equal(all.me().getTrackPublication('microphone').track.of, 'another voice');
  assert.deepEqual([...all.me().publications.keys()], ['microphone']);
  assert.deepEqual(all.me().log, ['publish microphone', 'replace microphone', 'publish camera', 'unpublish camera false']);
});

test('what the server does not take is offered again', async () => {
  const all = await setUp();
  all.sfu.send('sound', 'voice');
  all.me().refuse = new Error('no answer');
  all.sfu.begin();
  await quiet();
  assert.equal(all.sfu.sent, false);
  all.me().refuse = null;
  await all.clock.pass(1_100);
  await quiet();
  assert.equal(all.sfu.sent, true);
});

test('a connection that is given up is begun again with a fresh token, and sends what is wanted now', async () => {
  const all = await setUp();
  all.sfu.send('sound', 'voice');
  all.sfu.begin();
  await quiet();
  all.there().arrives('pid-bob', 'microphone');
  all.there().becomes('reconnecting');
  assert.equal(view(all).state, 'interrupted');
  all.there().lose();
  assert.equal(view(all).state, 'interrupted');
  assert.equal(view(all).sound, null);
  all.sfu.send('screen', 'window');
  await all.clock.pass(1_100);
  await quiet();
  assert.equal(all.world.rooms.length, 2);
  assert.equal(all.there().token, 'token 1');
  assert.deepEqual(all.me().log.sort(), ['publish microphone', 'publish screen_share']);
  all.there().arrives('pid-bob', 'microphone');
  assert.equal(view(all).state, 'connected');
  assert.equal(all.state.lost, 0);
});

test('signals that are lost for a moment are not told, for longer they are', async () => {
  const all = await setUp();
  all.there().arrives('pid-bob', 'microphone');
  all.there().becomes('signalReconnecting');
  await all.clock.pass(3_000);
  assert.equal(view(all).state, 'connected');
  await all.clock.pass(1_500);
  assert.equal(view(all).state, 'interrupted');
  all.sfu.begin();
  all.sfu.send('sound', 'voice');
  await quiet();
  assert.equal(all.sfu.sent, false);
  all.there().becomes('connected');
  assert.equal(view(all).state, 'connected');
  await quiet();
  assert.equal(all.sfu.sent, true, 'what was given meanwhile');
});

test('a server that cannot be reached is given up after three quarters of a minute, unless it is the network', async () => {
  const all = await setUp({ fail: () => new Error('refused') });
  await all.clock.pass(40_000);
  await quiet();
  assert.ok(all.world.rooms.length >= 6);
  assert.equal(all.state.lost, 0);
  all.state.online = false;
  for (let turn = 0; turn < 12; turn += 1) { await all.clock.pass(5_000); await quiet(); }
  assert.equal(all.state.lost, 0);
  all.state.online = true;
  for (let turn = 0; turn < 12; turn += 1) { await all.clock.pass(5_000); await quiet(); }
  assert.equal(all.state.lost, 1);
  const made = all.world.rooms.length;
  await all.clock.pass(60_000);
  assert.equal(all.world.rooms.length, made);
});

test('who leaves while it is connecting is not there afterwards, and own tracks go on', async () => {
  const all = await setUp();
  all.sfu.close();
  await quiet();
  assert.equal(all.there().state, 'disconnected');
  assert.equal(all.there().stopTracks, false);
  await all.clock.pass(60_000);
  assert.equal(all.world.rooms.length, 1);
});
