import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceOf, fingerprints, isAnnounced, isSigned, sign, statement } from '../../../app/web/static/web/js/voice/identity.js';

const conversation = '11111111-1111-4111-8111-111111111111';
const pid = '22222222-2222-4222-8222-222222222222';
const fingerprint = Array.from({ length: 32 }, (_, index) => index.toString(16).toUpperCase().padStart(2, '0')).join(':');

function vault() {
  const kept = new Map();
  return { kept, async keep(name, made) { if (made && !kept.has(name)) kept.set(name, made); return kept.get(name) ?? null; } };
}

test('what is signed is the statement of the protocol, byte for byte', () => {
  // identity_statement("1…", "2…", 3, "00:01:…") of app/realtime/protocol.py
  assert.equal(new TextDecoder().decode(statement(conversation, pid, 3, fingerprint)), `parley/voice/v1\n${conversation}\n${pid}\n3\n${fingerprint}\n`);
});

test('a device is made once, its key cannot be taken out, and key and signature have the form of the protocol', async () => {
  const kept = vault();
  const device = await deviceOf('alice', kept);
  assert.equal(await deviceOf('alice', kept), device);
  assert.notEqual((await deviceOf('bob', kept)).id, device.id);
  assert.match(device.key, /^[A-Za-z0-9_-]{87}$/);
  assert.match(await sign(device, conversation, pid, 1, fingerprint), /^[A-Za-z0-9_-]{86}$/);
  await assert.rejects(crypto.subtle.exportKey('pkcs8', device.keys.privateKey));
});

test('where nothing can be kept there is a device all the same', async () => {
  const device = await deviceOf('alice', { keep: () => Promise.reject(new Error('a private window')) });
  assert.match(device.key, /^[A-Za-z0-9_-]{87}$/);
});

test('a signature holds for one key, room, place, generation and fingerprint alone', async () => {
  const device = await deviceOf('alice', vault());
  const participant = { pid, gen: 2, key: device.key, fingerprint, signature: await sign(device, conversation, pid, 2, fingerprint) };
  assert.equal(await isSigned(conversation, participant), true);
  const other = await deviceOf('mallory', vault());
  for (const change of [{ gen: 3 }, { pid: conversation }, { key: other.key }, { fingerprint: fingerprint.replace('00', 'FF') }, { signature: 'A'.repeat(86) }, { key: 'A'.repeat(87) }, { key: '!' }]) {
    assert.equal(await isSigned(conversation, { ...participant, ...change }), false, JSON.stringify(change));
  }
  assert.equal(await isSigned(pid, participant), false);
});

test('a description is taken only with the announced fingerprint, and no other beside it', () => {
  const line = `a=fingerprint:sha-256 ${fingerprint}\r\n`;
  const other = line.replace('00', 'FF');
  assert.equal(isAnnounced(`v=0\r\n${line}m=audio\r\n${line}`, fingerprint), true);
  assert.equal(isAnnounced(`v=0\r\n${line.toLowerCase()}`, fingerprint), true);
  assert.equal(isAnnounced('v=0\r\nm=audio\r\n', fingerprint), false);
  assert.equal(isAnnounced(other, fingerprint), false);
  assert.equal(isAnnounced(line + other, fingerprint), false);
  assert.equal(isAnnounced(`${line}a=fingerprint:sha-1 00:11\r\n`, fingerprint), false);
  assert.deepEqual(fingerprints(line + line), [fingerprint]);
});
