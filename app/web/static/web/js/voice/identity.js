/**
 * The device's own key, and what it says about a call: "the DTLS certificate with this fingerprint
 * is mine, at this place in this room". The private key cannot leave the browser's key store.
 * So whoever relays a session description cannot put another certificate into it unseen.
 */

import { newId } from '../ids.js';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256' };
const SIGNING = { name: 'ECDSA', hash: 'SHA-256' };

/**
 * @typedef {{id: string, key: string, keys: CryptoKeyPair}} Device `key` is public: base64url of the uncompressed point
 * @typedef {{keep: (name: string, made: object | null) => Promise<any>}} Vault gives what is kept under `name`, else keeps `made`
 */

/**
 * What a device signs: `identity_statement` of app/realtime/protocol.py, byte for byte.
 * @param {string} conversation @param {string} pid @param {number} gen @param {string} fingerprint
 */
export function statement(conversation, pid, gen, fingerprint) {
  return new TextEncoder().encode(['parley/voice/v1', conversation, pid, gen, fingerprint, ''].join('\n'));
}

/**
 * This browser as a device of one person: made at the first call, kept for the next ones.
 * @param {string} user
 * @param {Vault} [vault]
 * @returns {Promise<Device>}
 */
export async function deviceOf(user, vault = indexedVault()) {
  // Where nothing can be kept (a private window), the device lives as long as the page.
  const known = await vault.keep(user, null).catch(() => null);
  if (known) return known;
  const keys = await crypto.subtle.generateKey(ALGORITHM, false, ['sign', 'verify']);
  const point = await crypto.subtle.exportKey('raw', keys.publicKey);
  const made = { id: newId(), key: base64url(new Uint8Array(point)), keys };
  return vault.keep(user, made).catch(() => made);
}

/**
 * @param {Device} device @param {string} conversation @param {string} pid @param {number} gen @param {string} fingerprint
 * @returns {Promise<string>} r and s, base64url
 */
export async function sign(device, conversation, pid, gen, fingerprint) {
  const signature = await crypto.subtle.sign(SIGNING, device.keys.privateKey, statement(conversation, pid, gen, fingerprint));
  return base64url(new Uint8Array(signature));
}

/**
 * Whether the participant's own key has signed the participant's place and fingerprint.
 * @param {string} conversation
 * @param {Pick<Parley.Participant, 'pid' | 'gen' | 'key' | 'fingerprint' | 'signature'>} participant
 */
export async function isSigned(conversation, { pid, gen, key, fingerprint, signature }) {
  try {
    const known = await crypto.subtle.importKey('raw', fromBase64url(key), ALGORITHM, false, ['verify']);
    return await crypto.subtle.verify(SIGNING, known, fromBase64url(signature), statement(conversation, pid, gen, fingerprint));
  } catch {
    return false; // no point of the curve, no base64: nothing that anybody signed
  }
}

/**
 * The SHA-256 fingerprints that a session description names (RFC 8122, 5).
 * @param {string} sdp
 * @returns {string[]} upper case; with one of another kind of hash, the whole line
 */
export function fingerprints(sdp) {
  const lines = [...sdp.matchAll(/^a=fingerprint:\s*(\S+)\s+(\S+)\s*$/gmi)];
  return [...new Set(lines.map(([line, hash, value]) => (hash?.toLowerCase() === 'sha-256' && value ? value.toUpperCase() : line)))];
}

/** Whether `fingerprint`, and no other, is what a description names. @param {string} sdp @param {string} fingerprint */
export function isAnnounced(sdp, fingerprint) {
  const named = fingerprints(sdp);
  return named.length === 1 && named[0] === fingerprint;
}

/** @param {Uint8Array} bytes */
export function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

/** @param {string} text */
function fromBase64url(text) {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0));
}

/** @returns {Vault} in IndexedDB, where a CryptoKey is kept without its bytes ever being seen */
function indexedVault() {
  return {
    async keep(name, made) {
      const database = await settled(opening());
      try {
        const store = database.transaction('devices', made ? 'readwrite' : 'readonly').objectStore('devices');
        // In one transaction: of two windows that begin at once, both get the first one's.
        const known = await settled(store.get(name));
        if (!known && made) await settled(store.put(made, name));
        return known ?? made;
      } finally {
        database.close();
      }
    },
  };
}

function opening() {
  const request = indexedDB.open('parley-voice', 1);
  request.onupgradeneeded = () => { request.result.createObjectStore('devices'); };
  return request;
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
