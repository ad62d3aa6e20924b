/**
 * The connection to one other participant: does what `negotiation.js` decides on an
 * RTCPeerConnection, and mends it. No description is applied that does not name the
 * fingerprint which the participant's device has signed.
 *
 * Three media sections, always all of them and always both ways: sound, camera, screen. So who
 * begins to share puts a track into its place, and nothing is negotiated.
 */

import { isAnnounced } from './identity.js';
import { begin, roundOf, step } from './negotiation.js';

export const KINDS = /** @type {const} */ (['sound', 'camera', 'screen']);
const WATCH_MS = 4_000;
const GRACE_MS = 2_000;

/**
 * @typedef {'sound' | 'camera' | 'screen'} Kind
 * @typedef {'connecting' | 'connected' | 'interrupted' | 'unproven' | 'closed'} PeerState
 * @typedef {object} Options
 * @property {boolean} polite
 * @property {boolean} offering whether the first offer is ours
 * @property {(configuration: any) => any} connect makes an RTCPeerConnection
 * @property {() => any} configuration
 * @property {() => Promise<void>} refresh gets fresh servers for the next `configuration`
 * @property {() => string} fingerprint the one that is announced now
 * @property {(kind: Kind) => any} track what we send
 * @property {(signal: Parley.Voice.Signal) => void} send
 * @property {(state: PeerState) => void} onState
 * @property {(kind: Kind, track: any) => void} onTrack
 * @property {Parley.Clock} clock
 */

export class Peer {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    /** @type {PeerState} */
    this.state = 'connecting';
    this.tries = 0;
    this.round = 0;
    /** @type {any} */
    this.timer = null;
    /** @type {any} */
    this.connection = null;
    this.machine = begin(options);
    this.#begin(1, options.offering);
  }

  /** @param {Parley.Voice.Signal} signal */
  received(signal) {
    const round = roundOf(signal.neg);
    if (this.state === 'closed' || round < this.round) return;
    if (round > this.round) this.#begin(round, false);
    if (signal.description && !isAnnounced(signal.description.sdp, this.options.fingerprint())) return this.#unproven();
    this.#happened({ is: 'signal', signal });
  }

  /** @param {Kind} kind */
  trackChanged(kind) {
    const sender = this.#transceiver(kind)?.sender;
    // Refused only by a connection that is closed: then there is nobody to send to.
    sender?.replaceTrack(this.options.track(kind))?.catch(() => {});
  }

  /** Signals get through again, or the way to the peer is another one: do not wait for the timer. */
  mend() {
    if (this.state === 'connected' || this.state === 'closed' || this.state === 'unproven') return;
    if (this.machine.settled) void this.#restart();
    else this.#happened({ is: 'again' });
  }

  /** Another way through the network while the present one goes on, with servers that are fresh. */
  rejuvenate() {
    if (this.state === 'connected') void this.#restart();
  }

  close() {
    this.options.clock.clearTimeout(this.timer);
    this.state = 'closed';
    this.#drop();
  }

  /** @param {number} round @param {boolean} offering */
  #begin(round, offering) {
    this.round = round;
    this.machine = begin({ polite: this.options.polite, round });
    this.#open(offering);
    this.#show('connecting');
    this.#watch(WATCH_MS);
  }

  /** @param {boolean} offering */
  #open(offering) {
    this.#drop();
    const connection = this.options.connect(this.options.configuration());
    this.connection = connection;
    connection.onnegotiationneeded = () => { if (this.machine.settled || offering) this.#happened({ is: 'needed' }); };
    connection.onicecandidate = (/** @type {any} */ event) => {
      if (event.candidate) this.#happened({ is: 'gathered', candidate: asInit(event.candidate) });
    };
    connection.onconnectionstatechange = () => this.#connectionChanged();
    connection.ontrack = (/** @type {any} */ event) => {
      const kind = KINDS[connection.getTransceivers().indexOf(event.transceiver)];
      if (kind) this.options.onTrack(kind, event.track);
    };
    if (offering) for (const kind of KINDS) {
      connection.addTransceiver(kind === 'sound' ? 'audio' : 'video', { direction: 'sendrecv' });
      this.trackChanged(kind);
    }
  }

  #drop() {
    const { connection } = this;
    if (!connection) return;
    connection.onnegotiationneeded = connection.onicecandidate = connection.onconnectionstatechange = connection.ontrack = null;
    connection.close();
    this.connection = null;
  }

  /** @param {Kind} kind */
  #transceiver(kind) {
    return this.connection?.getTransceivers()[KINDS.indexOf(kind)];
  }

  /** @param {Parley.Voice.Happening} event */
  #happened(event) {
    if (this.state === 'closed' || this.state === 'unproven') return;
    const { state, actions } = step(this.machine, event);
    this.machine = state;
    for (const action of actions) this.#act(action);
  }

  /** @param {Parley.Voice.Action} action */
  #act(action) {
    switch (action.to) {
      case 'send': return this.options.send(action.signal);
      case 'add': {
        // What came for a description that is gone, or is a kind that this browser cannot use.
        this.connection.addIceCandidate(action.candidate).catch(() => {});
        return undefined;
      }
      case 'repeat': {
        const description = this.connection.localDescription;
        if (description?.type === action.type) this.options.send({ neg: action.neg, description: plain(description) });
        return undefined;
      }
      case 'give-up': return this.#anew();
      case 'offer': return void this.#operate((connection) => connection.setLocalDescription());
      case 'accept': return void this.#operate((connection) => connection.setRemoteDescription(action.description));
      case 'answer':
        if (action.afresh) this.#open(false);
        return void this.#operate((connection) => this.#answer(connection, action.description));
    }
  }

  /** @param {any} connection @param {any} description */
  async #answer(connection, description) {
    await connection.setRemoteDescription(description);
    for (const kind of KINDS) {
      const transceiver = this.#transceiver(kind);
      if (transceiver && transceiver.direction !== 'sendrecv') transceiver.direction = 'sendrecv';
      this.trackChanged(kind);
    }
    await connection.setLocalDescription();
  }

  /** @param {(connection: any) => Promise<void>} operation */
  async #operate(operation) {
    const { connection } = this;
    try {
      await operation(connection);
      if (this.connection === connection) this.#happened({ is: 'done', description: plain(connection.localDescription) });
    } catch {
      if (this.connection === connection) this.#happened({ is: 'failed' });
    }
  }

  /** What there was cannot be mended: another connection, in a round that the other side follows. */
  #anew() {
    this.#begin(this.round + 1, true);
  }

  async #restart() {
    const { connection } = this;
    await this.options.refresh();
    if (!connection || this.connection !== connection) return;
    connection.setConfiguration(this.options.configuration());
    connection.restartIce();
  }

  #unproven() {
    this.options.clock.clearTimeout(this.timer);
    this.#drop();
    this.#show('unproven');
  }

  #connectionChanged() {
    const now = this.connection.connectionState;
    if (now === 'connected') {
      this.tries = 0;
      this.options.clock.clearTimeout(this.timer);
      this.#show('connected');
    } else if (now === 'disconnected' || now === 'failed') {
      if (this.state === 'connected') this.#show('interrupted');
      // A hiccup mends itself; a failure does not.
      this.#watch(now === 'failed' ? 0 : GRACE_MS);
    }
  }

  /** Looks again after `ms`, the polite side a little later, so that not both mend at once. @param {number} ms */
  #watch(ms) {
    const { clock, polite } = this.options;
    clock.clearTimeout(this.timer);
    this.timer = clock.setTimeout(() => this.#mendByTimer(), polite ? ms * 1.25 + 250 : ms);
  }

  #mendByTimer() {
    if (this.state === 'connected' || this.state === 'closed' || this.state === 'unproven') return;
    this.tries += 1;
    this.#watch(WATCH_MS);
    // A signal may be lost; a way through the network may be blocked; at last, everything may be in doubt.
    if (this.tries % 4 === 0) void this.options.refresh().then(() => { if (this.state !== 'closed' && this.state !== 'connected') this.#anew(); });
    else this.mend();
  }

  /** @param {PeerState} state */
  #show(state) {
    if (this.state === 'interrupted' && state === 'connecting') return; // it was heard before: it is being mended
    this.state = state;
    this.options.onState(state);
  }
}

/** @param {any} description */
function plain(description) {
  return description && { type: description.type, sdp: description.sdp };
}

/** The four fields of the protocol: browsers add others. @param {any} candidate */
function asInit(candidate) {
  const { candidate: line, sdpMid = null, sdpMLineIndex = null, usernameFragment = null } = candidate.toJSON ? candidate.toJSON() : candidate;
  return { candidate: line, sdpMid, sdpMLineIndex, usernameFragment };
}
