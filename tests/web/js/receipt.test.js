import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, sign, webcrypto } from 'node:crypto';
import { test } from 'node:test';
import { bytes, hex, leafHash, rootFromProof, verify } from '../../../app/web/static/web/js/receipt.js';

const subtle = webcrypto.subtle;
const sha = (...parts) => createHash('sha256').update(Buffer.concat(parts.map((part) => Buffer.from(part)))).digest();
const leafOf = (line) => sha([0], Buffer.from(line));
const nodeOf = (left, right) => sha([1], left, right);

/** RFC 6962, section 2.1, as it is written there. */
function treeHash(leaves) {
  if (leaves.length === 1) return leaves[0];
  const split = 2 ** Math.ceil(Math.log2(leaves.length) - 1);
  return nodeOf(treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split)));
}

function path(index, leaves) {
  if (leaves.length === 1) return [];
  const split = 2 ** Math.ceil(Math.log2(leaves.length) - 1);
  return index < split
    ? [...path(index, leaves.slice(0, split)), treeHash(leaves.slice(split))]
    : [...path(index - split, leaves.slice(split)), treeHash(leaves.slice(0, split))];
}

const { publicKey, privateKey } = generateKeyPairSync('ed25519');
const raw = publicKey.export({ format: 'der', type: 'spki' }).subarray(-32);
const NAME = 'parley.example/acme';
const keyHash = sha(Buffer.from(`${NAME}\n`), [1], raw).subarray(0, 4);

function receiptOf(index, size) {
  const lines = Array.from({ length: size }, (_, number) => `v1 2026-11-21T08:02:14.31234${number % 10}Z ${'a'.repeat(32)} ${'b'.repeat(32)} ${hex(sha(Buffer.from(String(number))))}`);
  const leaves = lines.map(leafOf);
  const text = `${NAME}\n${size}\n${treeHash(leaves).toString('base64')}\n`;
  const signature = Buffer.concat([keyHash, sign(null, Buffer.from(text), privateKey)]).toString('base64');
  return {
    message: 'm', revision: 1, written_at: '2026-11-21T08:02:14.312345Z', entry: 1, leaf: lines[index], leaf_hash: hex(leaves[index]),
    index, tree_size: size, proof: path(index, leaves).map(hex), checkpoint: `${text}\n— ${NAME} ${signature}\n`,
    verifier_key: `${NAME}+${hex(keyHash)}+${Buffer.concat([Buffer.from([1]), raw]).toString('base64')}`,
  };
}

const states = async (receipt) => (await verify(receipt, subtle)).map((step) => step.state);

test('every leaf of every small tree is proven', async () => {
  for (let size = 1; size <= 20; size += 1) {
    for (let index = 0; index < size; index += 1) {
      assert.deepEqual(await states(receiptOf(index, size)), ['passed', 'passed', 'passed'], `${index} of ${size}`);
    }
  }
});

test('a changed leaf, hash, proof, index, root or signature does not hold', async () => {
  const good = receiptOf(5, 11);
  const flipped = (text) => (text.startsWith('0') ? '1' : '0') + text.slice(1);
  const broken = {
    'the leaf line': { leaf: good.leaf.replace('08:02', '08:03') },
    'the leaf hash': { leaf_hash: flipped(good.leaf_hash) },
    'a hash of the proof': { proof: good.proof.with(1, flipped(good.proof[1])) },
    'a shorter proof': { proof: good.proof.slice(1) },
    'a longer proof': { proof: [...good.proof, good.proof[0]] },
    'the order of the proof': { proof: good.proof.toReversed() },
    'the index': { index: 6 },
    'an index outside the tree': { index: 11 },
    'the size': { tree_size: 12 },
    'the checkpoint’s size': { checkpoint: good.checkpoint.replace('\n11\n', '\n12\n'), tree_size: 12 },
    'the origin': { checkpoint: good.checkpoint.replace(`${NAME}\n`, 'parley.example/evil\n') },
    'the key': { verifier_key: receiptOf(0, 1).verifier_key.replace(/.{8}$/, 'AAAAAAA=') },
    'no signature': { checkpoint: good.checkpoint.split('\n\n')[0] },
    'another signer': { checkpoint: good.checkpoint.replace(`— ${NAME}`, '— somebody.else') },
  };
  for (const [what, change] of Object.entries(broken)) {
    assert.equal((await states({ ...good, ...change })).at(-1), 'failed', what);
  }
});

test('what is not in the log yet, and a log without its key, are not called proven', async () => {
  const good = receiptOf(2, 4);
  assert.deepEqual(await states({ ...good, checkpoint: null, index: null, tree_size: null, proof: [] }), ['passed', 'unknown', 'unknown']);
  assert.deepEqual(await states({ ...good, verifier_key: null }), ['passed', 'passed', 'unknown']);
});

test('the published empty-leaf hash of RFC 6962', async () => {
  assert.equal(hex(await leafHash(subtle, '')), '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d');
});

test('a proof of the wrong length has no root', async () => {
  assert.equal(await rootFromProof(subtle, bytes('00'), 0, 1, [bytes('00')]), null);
  assert.equal(await rootFromProof(subtle, bytes('00'), 3, 3, []), null);
});
