/**
 * The wire protocol `rt.v1`, the client's side: frames, codes, close codes.
 * The truth is `app/realtime/protocol.py`; this module only reads and writes frames.
 */


export const SUBPROTOCOL = 'rt.v1';
export const CLIENT = 'web/1';
export const MAX_FRAME_BYTES = 16 * 1024;
export const MAX_BODY_CHARACTERS = 16_000;
export const MAX_ATTACHMENTS = 10;
export const PING_SECONDS = 25;
export const PONG_SECONDS = 10;
export const TYPING_SECONDS = 3;

export const Code = Object.freeze({
  INTERNAL: 100, UNAUTHENTICATED: 101, DENIED: 103, NOT_FOUND: 104, CONFLICT: 105,
  BAD_REQUEST: 107, TICKET_EXPIRED: 109, RATE: 111, UNRECOVERABLE: 112,
  ROOM_FULL: 120, STALE_GENERATION: 122,
});

export const Close = Object.freeze({
  DRAIN: 4101, SLOW: 4108, GAP: 4110, NO_PONG: 4112,
  REVOKED: 4501, UNAUTHENTICATED: 4502, KICKED: 4503, VERSION: 4505, TOO_MANY: 4508,
});

/** The server's answer to a command that it did not carry out. */
export class Refused extends Error {
  /** @param {{code: number, name: string, retry: boolean, message: string}} failure */
  constructor(failure) {
    super(failure.message);
    this.name = 'Refused';
    this.code = failure.code;
    this.retry = failure.retry;
  }
}

/** There was no connection, or it went before the reply: the command may or may not have been done. */
export class ConnectionLost extends Error {
  constructor() {
    super('The connection was lost before the answer came.');
    this.name = 'ConnectionLost';
  }
}

/**
 * @param {number} id
 * @param {string} op
 * @param {object} d
 */
export function encode(id, op, d) {
  return JSON.stringify({ id, op, d });
}

/** @param {string} frame whether the server takes a frame of this size */
export function fits(frame) {
  return new TextEncoder().encode(frame).length <= MAX_FRAME_BYTES;
}

/**
 * @param {string} text
 * @returns {Parley.ServerFrame}
 * @throws {SyntaxError} on anything that is no frame of the protocol
 */
export function decode(text) {
  const frame = JSON.parse(text);
  if (frame && typeof frame === 'object') {
    if (typeof frame.id === 'number' && 'ok' in frame) return { kind: 'ok', id: frame.id, ok: frame.ok };
    if (typeof frame.id === 'number' && frame.err) return { kind: 'err', id: frame.id, err: frame.err };
    if (typeof frame.s === 'string' && typeof frame.t === 'string') return { kind: 'event', event: frame };
    if (typeof frame.op === 'string') return { kind: 'control', op: frame.op, d: frame.d ?? {} };
  }
  throw new SyntaxError('not a frame of rt.v1');
}

/** After 45xx there is no point in coming back; after anything else there is. @param {number} code */
export function mayReconnect(code) {
  return code < 4500 || code > 4599;
}

/** @param {string} conversation */
export function conversationStream(conversation) {
  return `conversation:${conversation}`;
}

/** @param {string} user */
export function userStream(user) {
  return `user:${user}`;
}

/** @param {string} organization whose people's presence it tells */
export function presenceStream(organization) {
  return `presence:${organization}`;
}

/** @param {string} conversation whose room it is */
export function voiceStream(conversation) {
  return `voice:${conversation}`;
}
