import assert from 'node:assert/strict';
import { test } from 'node:test';
import { begin, roundOf, step } from '../../../app/web/static/web/js/voice/negotiation.js';

/** Numbers that look random and are the same at every run (Park and Miller). */
function numbers(seed) {
  let state = seed;
  return () => { state = (state * 48_271) % 2_147_483_647; return state / 2_147_483_647; };
}

/**
 * One side with as much of an RTCPeerConnection as negotiation sees (JSEP, 3.5.1): what it may
 * not do, throws. `wire` takes its signals, `soon` does an operation some time later.
 */
class Side {
  constructor(name, polite, wire, soon) {
    Object.assign(this, { name, wire, soon, machine: begin({ polite }), operations: 0, connections: 1, agreed: '', pending: null });
  }

  happens(event) {
    const { state, actions } = step(this.machine, event);
    assert.equal(this.machine === state, false);
    this.machine = state;
    for (const action of actions) this.does(action);
  }

  does(action) {
    switch (action.to) {
      case 'send': return this.wire(action.signal);
      case 'repeat':
        if (this.local?.type === action.type) this.wire({ neg: action.neg, description: this.local });
        return undefined;
      case 'offer': return this.operate(() => {
        assert.equal(this.pending, null, 'an offer on an offer');
        this.local = this.pending = { type: 'offer', sdp: `${this.name}${this.connections}.${this.machine.serial}` };
      });
      case 'answer': {
        if (action.afresh) { this.pending = null; this.connections += 1; }
        return this.operate(() => {
          this.pending = null; // rolled back
          this.local = { type: 'answer', sdp: action.description.sdp };
          this.agreed = action.description.sdp;
        });
      }
      case 'accept': return this.operate(() => {
        assert.equal(action.description.sdp, this.pending?.sdp, 'an answer to another offer');
        this.agreed = this.pending.sdp;
        this.pending = null;
      });
      case 'add': return undefined;
      default: throw new Error(`it gave up: ${action.to}`);
    }
  }

  operate(operation) {
    this.operations += 1;
    assert.equal(this.operations, 1, 'two operations at once');
    this.soon(() => {
      operation();
      this.operations -= 1;
      this.happens({ is: 'done', description: this.local });
    });
  }
}

/** Both want to negotiate at once, on a wire that delays, loses and repeats. */
function meet(seed, { loss = 0, twice = 0 }) {
  const random = numbers(seed);
  const waiting = { a: [], b: [], operations: [] };
  const soon = (task) => waiting.operations.push(task);
  const wire = (to) => (signal) => {
    if (random() < loss) return;
    waiting[to].push(signal);
    if (random() < twice) waiting[to].push(signal);
  };
  const sides = { a: new Side('a', true, wire('b'), soon), b: new Side('b', false, wire('a'), soon) };
  const wishes = [sides.a, sides.b, ...(random() < 0.5 ? [sides.a, sides.b] : [])];
  for (let turn = 0; turn < 400; turn += 1) {
    const choice = Math.floor(random() * 4);
    if (choice === 0) wishes.shift()?.happens({ is: 'needed' });
    else if (choice === 1) waiting.operations.shift()?.();
    else {
      const to = choice === 2 ? 'a' : 'b';
      const signal = waiting[to].shift(); // a socket keeps the order
      if (signal) sides[to].happens({ is: 'signal', signal });
    }
    if (!wishes.length && !waiting.a.length && !waiting.b.length && !waiting.operations.length) {
      if (done(sides)) return sides;
      loss /= 2;
      for (const side of [sides.a, sides.b]) side.happens({ is: 'again' });
    }
  }
  return sides;
}

const done = ({ a, b }) => [a, b].every((side) => side.machine.settled && !side.machine.offered && !side.machine.busy) && a.agreed === b.agreed;

for (const [title, trouble] of [['in order', {}], ['repeated', { twice: 0.4 }], ['lost and repeated', { loss: 0.4, twice: 0.3 }]]) {
  test(`10,000 pairs that offer at once, signals ${title}: each ends in one stable connection`, () => {
    for (let seed = 1; seed <= 10_000; seed += 1) {
      const sides = meet(seed, trouble);
      assert.ok(done(sides), `seed ${seed}: ${JSON.stringify([sides.a.machine, sides.b.machine])}`);
    }
  });
}

const offer = (neg, sdp = neg) => ({ is: 'signal', signal: { neg, description: { type: 'offer', sdp } } });

test('of two first offers at once the polite side drops its connection, the impolite side its ears', () => {
  const polite = step(step(begin({ polite: true }), { is: 'needed' }).state, { is: 'done', description: { type: 'offer', sdp: 'x' } });
  assert.deepEqual(polite.actions.map((one) => one.signal.neg), ['1.1p']);
  const gives = step(polite.state, offer('1.1i'));
  assert.deepEqual(gives.actions, [{ to: 'answer', description: { type: 'offer', sdp: '1.1i' }, afresh: true }]);
  const impolite = step(step(begin({ polite: false }), { is: 'needed' }).state, { is: 'done', description: {} });
  assert.deepEqual(step(impolite.state, offer('1.1p')).actions, []);
});

test('candidates wait for their description, and those of another negotiation are dropped', () => {
  const busy = step(begin({ polite: true }), { is: 'needed' }).state;
  const early = step(busy, { is: 'gathered', candidate: 'mine' });
  assert.deepEqual(early.actions, []);
  const sent = step(early.state, { is: 'done', description: 'offer' });
  assert.deepEqual(sent.actions.map((one) => one.signal), [{ neg: '1.1p', description: 'offer' }, { neg: '1.1p', candidate: 'mine' }]);
  assert.deepEqual(step(sent.state, { is: 'signal', signal: { neg: '1.1p', candidate: 'theirs' } }).actions, [{ to: 'add', candidate: 'theirs' }]);
  assert.deepEqual(step(sent.state, { is: 'signal', signal: { neg: '1.7i', candidate: 'other' } }).actions, []);
});

test('an answer that is late, doubled or to another offer changes nothing', () => {
  const answer = (neg) => ({ is: 'signal', signal: { neg, description: { type: 'answer', sdp: '' } } });
  const offered = step(step(begin({ polite: true }), { is: 'needed' }).state, { is: 'done', description: {} }).state;
  assert.deepEqual(step(offered, answer('1.2p')).actions, []);
  const accepted = step(offered, answer('1.1p'));
  assert.equal(accepted.actions[0].to, 'accept');
  const settled = step(accepted.state, { is: 'done' }).state;
  assert.deepEqual(step(settled, answer('1.1p')).actions, []);
});

test('an operation that fails is given up, and rounds are told by their number', () => {
  const busy = step(begin({ polite: true }), { is: 'needed' }).state;
  assert.deepEqual(step(busy, { is: 'failed' }).actions, [{ to: 'give-up' }]);
  assert.deepEqual(['3.1p', '12.4i', '', 'x'].map(roundOf), [3, 12, 0, 0]);
});
