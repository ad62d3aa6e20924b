/**
 * Checks a message's receipt in the browser, trusting the page's code but not the server's word:
 * leaf line → leaf hash (RFC 6962) → inclusion proof (RFC 9162, 2.1.3.2) → the checkpoint's
 * root (C2SP tlog-checkpoint) → its signature (C2SP signed-note, Ed25519).
 */

/** @typedef {{name: string, state: 'passed' | 'failed' | 'unknown', detail: string}} Step */

const encoder = new TextEncoder();

/**
 * @param {Parley.Receipt} receipt
 * @param {SubtleCrypto} subtle
 * @returns {Promise<Step[]>} in the order of the argument; a failed step ends it
 */
export async function verify(receipt, subtle = crypto.subtle) {
  /** @type {Step[]} */
  const steps = [];
  for (const check of [leafHashes, rootFollows, signatureHolds]) {
    const step = await check(receipt, subtle).catch(unreadable);
    steps.push(step);
    if (step.state === 'failed') break;
  }
  return steps;
}

/** @param {Error} error @returns {Step} */
function unreadable(error) {
  return { name: 'The receipt can be read', state: 'failed', detail: `A part of it is malformed: ${error.message}` };
}

/** @param {Parley.Receipt} receipt @param {SubtleCrypto} subtle @returns {Promise<Step>} */
async function leafHashes(receipt, subtle) {
  const name = 'The leaf has the hash of the receipt';
  const found = hex(await leafHash(subtle, receipt.leaf));
  return found === receipt.leaf_hash
    ? { name, state: 'passed', detail: `SHA-256 of the leaf line: ${short(found)}` }
    : { name, state: 'failed', detail: `The leaf line hashes to ${short(found)}, the receipt says ${short(receipt.leaf_hash)}.` };
}

/** @param {Parley.Receipt} receipt @param {SubtleCrypto} subtle @returns {Promise<Step>} */
async function rootFollows(receipt, subtle) {
  const name = 'The leaf is under the checkpoint’s root';
  if (!receipt.checkpoint || receipt.index === null || receipt.tree_size === null) {
    return { name, state: 'unknown', detail: 'No checkpoint covers it yet: that takes about a second. Try again.' };
  }
  const { size, root } = parseCheckpoint(receipt.checkpoint);
  if (size !== receipt.tree_size) return { name, state: 'failed', detail: `The checkpoint is of ${size} leaves, the proof of ${receipt.tree_size}.` };
  const leaf = await leafHash(subtle, receipt.leaf);
  const computed = await rootFromProof(subtle, leaf, receipt.index, size, receipt.proof.map(bytes));
  if (!computed || hex(computed) !== hex(root)) {
    return { name, state: 'failed', detail: 'The proof does not lead to the root of the checkpoint.' };
  }
  return { name, state: 'passed', detail: `Leaf ${receipt.index} of ${size}, by ${receipt.proof.length} hashes, to root ${short(hex(root))}` };
}

/** @param {Parley.Receipt} receipt @param {SubtleCrypto} subtle @returns {Promise<Step>} */
async function signatureHolds(receipt, subtle) {
  const name = 'The checkpoint is signed by the log’s key';
  if (!receipt.checkpoint) return { name, state: 'unknown', detail: 'There is no checkpoint yet.' };
  if (!receipt.verifier_key) return { name, state: 'unknown', detail: 'The receipt does not carry the log’s public key: ask your compliance officer for it.' };
  const { text, signatures } = parseNote(receipt.checkpoint);
  const key = parseVerifierKey(receipt.verifier_key);
  const signature = signatures.find((one) => one.name === key.name && hex(one.bytes.slice(0, 4)) === key.hash);
  if (!signature) return { name, state: 'failed', detail: `There is no signature by ${key.name}.` };
  let publicKey;
  try {
    publicKey = await subtle.importKey('raw', key.publicKey, { name: 'Ed25519' }, false, ['verify']);
  } catch {
    return { name, state: 'unknown', detail: 'This browser cannot check Ed25519 signatures.' };
  }
  const good = await subtle.verify({ name: 'Ed25519' }, publicKey, own(signature.bytes.slice(4)), own(encoder.encode(text)));
  return good
    ? { name, state: 'passed', detail: `Ed25519 by ${key.name}` }
    : { name, state: 'failed', detail: `The signature by ${key.name} is not of this checkpoint.` };
}

/** @param {SubtleCrypto} subtle @param {string} line @returns {Promise<Uint8Array>} SHA-256(0x00 ‖ line) */
export function leafHash(subtle, line) {
  return sha256(subtle, join(Uint8Array.of(0), encoder.encode(line)));
}

/**
 * RFC 9162, section 2.1.3.2.
 * @param {SubtleCrypto} subtle
 * @param {Uint8Array} leaf
 * @param {number} index
 * @param {number} size
 * @param {Uint8Array[]} proof
 * @returns {Promise<Uint8Array | null>} the root, or null when the proof has the wrong length
 */
export async function rootFromProof(subtle, leaf, index, size, proof) {
  if (index >= size) return null;
  let node = index;
  let last = size - 1;
  let root = leaf;
  for (const hash of proof) {
    if (last === 0) return null;
    if (node % 2 === 1 || node === last) {
      root = await sha256(subtle, join(Uint8Array.of(1), hash, root));
      while (node % 2 === 0 && node !== 0) [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
    } else {
      root = await sha256(subtle, join(Uint8Array.of(1), root, hash));
    }
    [node, last] = [Math.floor(node / 2), Math.floor(last / 2)];
  }
  return last === 0 ? root : null;
}

/** @param {string} note @returns {{origin: string, size: number, root: Uint8Array}} */
export function parseCheckpoint(note) {
  const [origin = '', size = '', root = ''] = parseNote(note).text.split('\n');
  if (!/^(0|[1-9]\d*)$/.test(size)) throw new SyntaxError('no size in the checkpoint');
  return { origin, size: Number(size), root: base64(root) };
}

/** @param {string} note */
function parseNote(note) {
  const end = note.lastIndexOf('\n\n');
  if (end < 0) throw new SyntaxError('the checkpoint has no signature');
  const signatures = note.slice(end + 2).split('\n').filter(Boolean).map((line) => {
    const [dash, name, value] = line.split(' ');
    if (dash !== '—' || !name || !value) throw new SyntaxError('malformed signature line');
    return { name, bytes: base64(value) };
  });
  return { text: note.slice(0, end + 1), signatures };
}

/** `name+hash+base64(0x01 ‖ key)`; the key may hold `+` too. @param {string} line */
function parseVerifierKey(line) {
  const [name = '', hash = '', ...rest] = line.trim().split('+');
  const raw = base64(rest.join('+'));
  if (raw[0] !== 1 || raw.length !== 33) throw new SyntaxError('not an Ed25519 verifier key');
  return { name, hash, publicKey: own(raw.slice(1)) };
}

/** @param {SubtleCrypto} subtle @param {Uint8Array} data */
async function sha256(subtle, data) {
  return new Uint8Array(await subtle.digest('SHA-256', own(data)));
}

/** @param {Uint8Array[]} parts */
function join(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** A copy in an ArrayBuffer of its own, which is what WebCrypto takes. @param {Uint8Array} data */
function own(data) {
  return new Uint8Array(data);
}

/** @param {Uint8Array} data */
export function hex(data) {
  return Array.from(data, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** @param {string} text hexadecimal */
export function bytes(text) {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** @param {string} text */
function base64(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

/** @param {string} text a hash as people compare it */
export function short(text) {
  return text.length > 20 ? `${text.slice(0, 10)}…${text.slice(-6)}` : text;
}
