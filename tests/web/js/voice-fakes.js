/** As much of WebRTC as a mesh sees: two connections that were described to each other are connected. */

import { deviceOf, sign } from '../../../app/web/static/web/js/voice/identity.js';

export const fingerprintOf = (name) => Array.from({ length: 32 }, (_, index) => ((name.charCodeAt(index % name.length) + index) % 256).toString(16).toUpperCase().padStart(2, '0')).join(':');

export class FakeConnection {
  static all = [];

  constructor(configuration) {
    FakeConnection.all.push(this);
    Object.assign(this, { configuration, connectionState: 'new', signalingState: 'stable', transceivers: [], localDescription: null, remote: null, restarts: 0 });
    this.certificate = configuration.certificates[0];
  }

  addTransceiver(kind, { direction } = {}) {
    this.transceivers.push({ kind, direction, sender: { track: null, replaceTrack: async function put(track) { this.track = track; } }, receiver: { getSynchronizationSources: () => [] } });
    this.#need();
  }

  /** Once for all that was changed in one go, as browsers have it. */
  #need() {
    if (this.needed) return;
    this.needed = true;
    queueMicrotask(() => {
      this.needed = false;
      this.onnegotiationneeded?.();
    });
  }

  getTransceivers() { return this.transceivers; }

  #describe(type) { return { type, sdp: `v=0\r\na=fingerprint:sha-256 ${this.certificate.fingerprint}\r\na=restart:${this.restarts}\r\n` }; }

  async createOffer() { return this.#describe('offer'); }

  async setLocalDescription() {
    await null;
    if (this.signalingState === 'closed') throw new Error('closed');
    const answering = this.signalingState === 'have-remote-offer';
    this.localDescription = this.#describe(answering ? 'answer' : 'offer');
    this.signalingState = answering ? 'stable' : 'have-local-offer';
    if (answering) this.#up();
    queueMicrotask(() => this.onicecandidate?.({ candidate: { candidate: 'candidate:1', sdpMid: '0', sdpMLineIndex: 0, usernameFragment: 'u', extra: 1 } }));
  }

  async setRemoteDescription(description) {
    await null;
    if (this.signalingState === 'closed') throw new Error('closed');
    if (description.type === 'answer' && this.signalingState !== 'have-local-offer') throw new Error('no offer');
    this.remote = description;
    if (description.type === 'offer') {
      this.signalingState = 'have-remote-offer';
      if (this.transceivers.length === 0) for (const kind of ['audio', 'video', 'video']) this.addTransceiver(kind, { direction: 'recvonly' });
      for (const transceiver of this.transceivers) this.ontrack?.({ transceiver, track: `track of ${transceiver.kind}` });
    } else {
      this.signalingState = 'stable';
      this.#up();
    }
  }

  async addIceCandidate() { if (!this.remote) throw new Error('too early'); }

  setConfiguration(configuration) { this.configuration = configuration; }

  restartIce() { this.restarts += 1; this.#need(); }

  async getStats() { return new Map(); }

  close() { this.connectionState = this.signalingState = 'closed'; }

  #up() { if (this.connectionState !== 'connected') this.becomes('connected'); }

  becomes(state) {
    this.connectionState = state;
    this.onconnectionstatechange?.();
  }
}

export const engine = (name, library = null) => ({
  connect: (configuration) => new FakeConnection(configuration), certificate: async () => ({ fingerprint: fingerprintOf(name) }),
  sfuClient: async () => { if (!library) throw new Error('nobody needs it here'); return library; },
});

export const nowhere = { keep: async (_name, made) => made };

/** A participant whose device has signed its place. */
export async function participant(conversation, pid, name, gen = 1) {
  const device = await deviceOf(name, nowhere);
  const fingerprint = fingerprintOf(name);
  return {
    device,
    row: {
      pid, gen, user: `user of ${name}`, device: device.id, at: '', muted: false, muted_by: null, screen: false, video: false,
      key: device.key, fingerprint, signature: await sign(device, conversation, pid, gen, fingerprint),
    },
  };
}

let pending = 0;
for (const name of ['verify', 'sign', 'importKey', 'generateKey', 'exportKey']) {
  const real = crypto.subtle[name].bind(crypto.subtle);
  crypto.subtle[name] = (...given) => {
    pending += 1;
    return real(...given).finally(() => { pending -= 1; });
  };
}

/** Until nothing goes on by itself any more: WebCrypto works in threads of its own. */
export async function quiet() {
  for (let calm = 0; calm < 6; calm += 1) {
    await new Promise((resolve) => { setImmediate(resolve); });
    if (pending > 0) calm = 0;
  }
}
