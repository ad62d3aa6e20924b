import assert from 'node:assert/strict';
import { test } from 'node:test';
import { problem } from '../../../app/web/static/web/js/voice/devices.js';
import { grade, look, measure, worst } from '../../../app/web/static/web/js/voice/quality.js';
import { SILENT, hear, level, meter } from '../../../app/web/static/web/js/voice/speaking.js';
import { troubleWords } from '../../../app/web/static/web/js/ui/voice/words.js';

const rows = ({ local = 'host', remote = 'host', received = 1000, lost = 0, firefox = false } = {}) => [
  { id: 'in', type: 'inbound-rtp', kind: 'audio', packetsReceived: received, packetsLost: lost, jitter: 0.004 },
  { id: 'pair', type: 'candidate-pair', localCandidateId: 'l', remoteCandidateId: 'r', currentRoundTripTime: 0.031, ...(firefox ? { selected: true } : {}) },
  { id: 'l', type: 'local-candidate', candidateType: local }, { id: 'r', type: 'remote-candidate', candidateType: remote },
  ...(firefox ? [] : [{ id: 't', type: 'transport', selectedCandidatePairId: 'pair' }]),
];

test('loss is that since the last look, times are milliseconds', () => {
  const before = look(rows());
  assert.deepEqual(measure(before, look(rows({ received: 1090, lost: 10 }))), { candidate: 'host', loss: 0.1, jitter_ms: 4, rtt_ms: 31 });
  assert.equal(measure(before, before).loss, 0);
  assert.equal(measure(before, look(rows({ lost: -5 }))).loss, 0);
});

test('a way with a relay at either end is relayed, also as Firefox tells it', () => {
  assert.equal(look(rows({ remote: 'relay' })).candidate, 'relay');
  assert.equal(look(rows({ local: 'relay', firefox: true })).candidate, 'relay');
  assert.equal(look(rows({ local: 'srflx', firefox: true })).candidate, 'srflx');
  assert.equal(measure(null, look([])), null);
});

test('grades follow the worst of loss, delay and unevenness', () => {
  const fine = { candidate: 'host', loss: 0, rtt_ms: 40, jitter_ms: 5 };
  assert.equal(grade(fine), 'good');
  assert.equal(grade({ ...fine, loss: 0.03 }), 'fair');
  assert.equal(grade({ ...fine, rtt_ms: 600 }), 'poor');
  assert.equal(grade({ ...fine, jitter_ms: 90 }), 'poor');
  assert.equal(worst(['good', 'fair', 'good']), 'fair');
  assert.equal(worst([]), 'good');
});

test('speaking begins at once and ends after a pause, not in it', () => {
  let state = hear(SILENT, 0.01, 0);
  assert.equal(state.speaking, false);
  state = hear(state, 0.05, 100);
  state = hear(state, 0, 400);
  assert.equal(state.speaking, true);
  state = hear(state, 0, 700);
  assert.equal(state.speaking, false);
});

test('a level is that of the samples, and the meter is logarithmic', () => {
  assert.equal(level(new Float32Array(0)), 0);
  assert.ok(Math.abs(level(Float32Array.of(0.5, -0.5)) - 0.5) < 1e-6);
  assert.equal(meter(0), 0);
  assert.equal(meter(1), 1);
  assert.ok(meter(0.1) > 0.6 && meter(0.1) < 0.7);
});

test('what cannot be had is said in words, with what to do', () => {
  for (const [name, what, words] of [
    ['NotAllowedError', 'audio', /does not let Parley use your microphone.*Allow it/], ['NotFoundError', 'video', /No camera was found.*Plug/],
    ['NotReadableError', 'audio', /another program/], ['NotAllowedError', 'screen', /Nothing is shared/],
  ]) assert.match(problem({ name }, what).message, words);
});

test('while reconnecting, what is said of the others is true', () => {
  const state = { phase: 'reconnecting', unseated: 1, others: 2, heard: 2, lease: 20 };
  assert.match(troubleWords(state), /You still hear each other/);
  assert.match(troubleWords({ ...state, heard: 1 }), /Some still hear you/);
  assert.match(troubleWords({ ...state, heard: 0 }), /do not hear you/);
  assert.doesNotMatch(troubleWords({ ...state, others: 0, heard: 0 }), /hear/);
  assert.match(troubleWords({ ...state, unseated: 0, heard: 0 }), /cannot be reached/);
  assert.equal(troubleWords({ ...state, phase: 'connected' }), '');
});
