import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Routes } from '../../../app/web/static/web/js/voice/routes.js';
import { signal } from '../../../app/web/static/web/vendor/signals-core.js';
import { FakeClock } from './fakes.js';

const people = (...pids) => ['me', ...pids].map((pid) => ({ pid }));
const view = (state, of = null) => ({ state, sound: of, camera: null, screen: null });

class Route {
  constructor(name, log) {
    Object.assign(this, { name, log, views: signal(new Map()), tracks: {}, muted: null, sent: true, closed: false, pids: [] });
    log.push(`${name} begins`);
  }

  send(kind, track) { this.tracks[kind] = track; }

  mute(muted) { this.muted = muted; }

  show(pid, one) { this.views.value = new Map(this.views.value).set(pid, one); }

  close() { this.closed = true; this.log.push(`${this.name} ends`); }

  sources() { return [...this.views.value].filter(([, one]) => one.sound).map(([pid]) => [pid, this.name]); }
}

class FakeMesh extends Route {
  members = new Map();

  update(them) {
    for (const pid of this.members.keys()) if (!them.some((one) => one.pid === pid)) { this.members.delete(pid); this.log.push(`mesh leaves ${pid}`); }
    for (const { pid } of them) if (pid !== 'me') this.members.set(pid, {});
    this.views.value = new Map([...this.members.keys()].map((pid) => [pid, this.views.value.get(pid) ?? view('connecting')]));
  }

  meet(them) { this.log.push('mesh meets'); this.update(them); }

  resumed() { this.log.push('mesh mends'); }

  received(sender) { this.log.push(`mesh hears ${sender}`); }
}

class FakeSfu extends Route {
  update(them) { this.pids = them.map(({ pid }) => pid); }

  begin() { this.log.push('sfu is sent to'); }
}

function setUp({ given = null, there = ['a', 'b'] } = {}) {
  const clock = new FakeClock();
  const log = [];
  const made = { lost: 0 };
  const routes = new Routes({
    me: 'me', clock,
    mesh: () => (made.mesh = new FakeMesh('mesh', log)),
    sfu: (grant, lost) => { made.grant = grant; made.giveUp = lost; return (made.sfu = new FakeSfu('sfu', log)); },
    lost: () => { made.lost += 1; },
  }, given);
  routes.send('sound', 'my voice');
  routes.mute(true);
  routes.update(people(...there), true);
  for (const pid of there) made.mesh?.show(pid, view('connected', `${pid} by mesh`));
  log.length = 0;
  return { clock, log, routes, made };
}

const shown = ({ routes }, pid) => routes.views.value.get(pid);

test('the media server is made ready when it is offered, and sent to when it has to be', () => {
  const all = setUp();
  all.routes.handedOver({ to: 'sfu', force: false });
  assert.deepEqual(all.log, ['sfu begins']);
  assert.equal(all.routes.through.value, 'mesh');
  assert.deepEqual([all.made.sfu.tracks.sound, all.made.sfu.muted, all.made.sfu.pids], ['my voice', true, ['me', 'a', 'b']]);
  all.routes.handedOver({ to: 'sfu', force: true });
  assert.deepEqual(all.log, ['sfu begins', 'sfu is sent to']);
  assert.equal(all.routes.through.value, 'sfu');
});

test('the mesh goes on to each until they are at the server, and nobody is heard twice or not at all', async () => {
  const all = setUp();
  all.routes.handedOver({ to: 'sfu', force: true });
  await all.clock.pass(10_000);
  assert.deepEqual([shown(all, 'a').sound, shown(all, 'a').state], ['a by mesh', 'connected']);
  all.made.sfu.show('a', view('connected'));
  assert.equal(shown(all, 'a').sound, 'a by mesh', 'there, but nothing comes yet');
  all.made.sfu.show('a', view('connected', 'a by server'));
  assert.equal(shown(all, 'a').sound, 'a by server');
  assert.deepEqual(all.routes.sources(), [['a', 'sfu'], ['b', 'mesh']]);
  await all.clock.pass(1_400);
  assert.ok(!all.log.includes('mesh leaves a'), 'they may not hear us there yet');
  await all.clock.pass(1_400);
  assert.ok(all.log.includes('mesh leaves a'));
  await all.clock.pass(60_000);
  assert.equal(shown(all, 'b').sound, 'b by mesh', 'who does not come is not left alone');
  all.routes.update(people('a'));
  await all.clock.pass(1_000);
  assert.deepEqual(all.log.slice(-2), ['mesh leaves b', 'mesh ends']);
});

test('who is at the server while we are not heard there keeps the mesh', async () => {
  const all = setUp({ there: ['a'] });
  all.routes.handedOver({ to: 'sfu', force: true });
  all.made.sfu.sent = false;
  all.made.sfu.show('a', view('connected', 'a by server'));
  await all.clock.pass(60_000);
  assert.ok(!all.log.includes('mesh ends'));
  all.made.sfu.sent = true;
  await all.clock.pass(3_000);
  assert.ok(all.log.includes('mesh ends'));
});

test('who has no microphone is waited for a while, and then let go', async () => {
  const all = setUp({ there: ['a'] });
  all.routes.handedOver({ to: 'sfu', force: true });
  all.made.sfu.show('a', view('connected'));
  await all.clock.pass(14_000);
  assert.ok(!all.log.includes('mesh ends'));
  await all.clock.pass(4_000);
  assert.ok(all.log.includes('mesh ends'));
});

test('whoever joins a call at the server has no mesh, and makes none to newcomers', () => {
  const all = setUp({ given: { url: 'wss://media', token: 't' } });
  assert.deepEqual(all.made.grant, { url: 'wss://media', token: 't' });
  assert.equal(all.made.mesh, undefined);
  const other = setUp({ there: ['a'] });
  other.routes.handedOver({ to: 'sfu', force: true });
  other.routes.update(people('a', 'newcomer'));
  assert.deepEqual([...other.made.mesh.members.keys()], ['a']);
  assert.deepEqual(other.made.sfu.pids, ['me', 'a', 'newcomer']);
});

test('back in a mesh, the server is left once all are connected', async () => {
  const all = setUp({ given: { url: 'wss://media', token: 't' } });
  for (const pid of ['a', 'b']) all.made.sfu.show(pid, view('connected', `${pid} by server`));
  all.routes.handedOver({ to: 'mesh', force: false });
  assert.ok(all.log.includes('mesh meets'));
  assert.deepEqual([all.made.mesh.tracks.sound, shown(all, 'a').sound], ['my voice', 'a by server']);
  all.made.mesh.show('a', view('connected', 'a by mesh'));
  assert.equal(shown(all, 'a').sound, 'a by mesh');
  await all.clock.pass(5_000);
  assert.ok(!all.log.includes('sfu ends'));
  all.made.mesh.show('b', view('connected', 'b by mesh'));
  await all.clock.pass(3_000);
  assert.ok(all.log.includes('sfu ends'));
  assert.equal(all.routes.sfu.value, null);
});

test('one who cannot be reached in the mesh does not keep the rest at the server', async () => {
  const all = setUp({ given: { url: 'wss://media', token: 't' } });
  all.routes.handedOver({ to: 'mesh', force: false });
  await all.clock.pass(16_000);
  assert.ok(all.log.includes('sfu ends'));
});

test('a hand-over that is taken back leaves both routes as they are needed', async () => {
  const all = setUp();
  all.routes.handedOver({ to: 'sfu', force: true });
  await all.clock.pass(1_000);
  all.routes.handedOver({ to: 'mesh', force: false });
  await all.clock.pass(3_000);
  assert.deepEqual([all.routes.mesh.value === all.made.mesh, all.routes.sfu.value], [true, null]);
  assert.equal([...all.made.mesh.members].length, 2);
});

test('the same hand-over twice, and one to where media goes already, change nothing', async () => {
  const all = setUp();
  all.routes.handedOver({ to: 'mesh', force: false });
  assert.deepEqual(all.log, []);
  for (let time = 0; time < 2; time += 1) all.routes.handedOver({ to: 'sfu', force: true });
  assert.equal(all.log.filter((one) => one === 'sfu begins').length, 1);
});

test('what was missed without a connection is made up for', () => {
  const all = setUp();
  all.routes.resumed({ servers: [], ttl: 600 }, { url: 'wss://media', token: 't' });
  assert.equal(all.routes.through.value, 'sfu');
  all.routes.resumed({ servers: [], ttl: 600 }, null);
  assert.equal(all.routes.through.value, 'mesh');
});

test('a server that cannot be reached ends the call only where the call is there', () => {
  const all = setUp();
  all.routes.handedOver({ to: 'sfu', force: false });
  all.made.giveUp();
  assert.deepEqual([all.made.lost, all.routes.sfu.value], [0, null]);
  all.routes.handedOver({ to: 'sfu', force: true });
  all.made.giveUp();
  assert.equal(all.made.lost, 1);
});

test('the end ends both', () => {
  const all = setUp();
  all.routes.handedOver({ to: 'sfu', force: true });
  all.routes.close();
  assert.deepEqual(all.log.slice(-2), ['mesh ends', 'sfu ends']);
  assert.equal(all.clock.timers.length, 0);
});
