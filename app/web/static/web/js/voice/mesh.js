/**
 * One connection to each other participant of a room. What is in the room is told by `update`;
 * the mesh follows it. Whoever was there before us gets our offer, whoever comes later makes one.
 */

import { isSigned } from './identity.js';
import { Peer } from './peer.js';
import { loudness } from './speaking.js';
import { batch, signal } from '../../vendor/signals-core.js';

const FRESH_MS = 30_000;
const REFRESH_AT = 0.7; // of the time for which relay credentials are good

/** @typedef {{state: Parley.Voice.PeerState, sound: any, camera: any, screen: any}} View tracks of a peer */

/**
 * @typedef {object} Options
 * @property {string} me own pid
 * @property {string} conversation
 * @property {any} certificate of DTLS, the same for all connections of one joining
 * @property {Parley.Ice} ice
 * @property {number} [age] milliseconds since `ice` was given
 * @property {boolean} relayOnly
 * @property {(configuration: any) => any} connect makes an RTCPeerConnection
 * @property {() => Promise<Parley.Ice>} askIce
 * @property {(to: string, gen: number, signal: Parley.Voice.Signal) => void} send
 * @property {Parley.Clock} clock
 */

export class Mesh {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    /** @type {Map<string, {participant: Parley.Participant, peer: Peer | null, early: Parley.Voice.Signal[]}>} */
    this.members = new Map();
    this.views = signal(/** @type {Map<string, View>} */ (new Map()));
    /** @type {Record<Parley.Voice.Kind, any>} */
    this.tracks = { sound: null, camera: null, screen: null };
    this.closed = false;
    this.ice = options.ice;
    this.since = 0;
    /** @type {Promise<void> | null} */
    this.asking = null;
    /** @type {any} */
    this.timer = null;
    this.#servers(options.ice, options.age);
  }

  /**
   * Who is in the room now.
   * @param {Iterable<Parley.Participant>} participants
   * @param {boolean} offering whether to those that are new to us the offer is ours
   */
  update(participants, offering = false) {
    const others = new Map([...participants].filter((one) => one.pid !== this.options.me).map((one) => [one.pid, one]));
    for (const pid of [...this.members.keys()]) if (!others.has(pid)) this.#remove(pid);
    for (const participant of others.values()) {
      const known = this.members.get(participant.pid);
      if (!known) void this.#add(participant, offering);
      else if (known.participant.gen !== participant.gen) void this.#resumed(participant);
      else known.participant = participant;
    }
  }

  /** All in the room begin a mesh now: of two, the impolite one offers. @param {Iterable<Parley.Participant>} participants */
  meet(participants) {
    for (const one of participants) if (one.pid !== this.options.me && !this.members.has(one.pid)) void this.#add(one, this.options.me > one.pid);
  }

  /** @param {string} sender @param {Parley.Voice.Signal} signal */
  received(sender, signal) {
    const member = this.members.get(sender);
    if (!member) return; // of somebody who has left, or is not in what we know yet: it comes again
    if (member.peer) member.peer.received(signal);
    else member.early.push(signal);
  }

  /** @param {Parley.Voice.Kind} kind @param {any} track null: nothing of that kind any more */
  send(kind, track) {
    this.tracks[kind] = track;
    for (const { peer } of this.members.values()) peer?.trackChanged(kind);
  }

  /** The server is there again, with these servers: mend what broke meanwhile. @param {Parley.Ice} ice */
  resumed(ice) {
    this.#servers(ice);
    for (const { peer } of this.members.values()) peer?.mend();
  }

  /** @returns {[string, Parley.Voice.Source][]} what comes over each connection */
  sources() {
    return [...this.members].flatMap(([pid, { peer }]) => (peer?.connection ? [[pid, sourceOf(peer.connection)]] : []));
  }

  close() {
    this.closed = true;
    this.options.clock.clearTimeout(this.timer);
    for (const pid of [...this.members.keys()]) this.#remove(pid);
  }

  /** @param {Parley.Participant} participant @param {boolean} offering */
  async #add(participant, offering) {
    const { pid } = participant;
    const member = { participant, peer: /** @type {Peer | null} */ (null), early: /** @type {any[]} */ ([]) };
    this.members.set(pid, member);
    this.#show(pid, { state: 'connecting', sound: null, camera: null, screen: null });
    const proven = await isSigned(this.options.conversation, participant);
    if (this.members.get(pid) !== member || this.closed) return;
    if (!proven) return this.#show(pid, { state: 'unproven' });
    member.peer = new Peer({
      polite: this.options.me < pid,
      offering,
      connect: this.options.connect,
      configuration: () => this.#configuration(),
      refresh: () => this.#refresh(),
      fingerprint: () => member.participant.fingerprint,
      track: (kind) => this.tracks[kind],
      send: (signal) => this.options.send(pid, member.participant.gen, signal),
      onState: (state) => this.#show(pid, { state }),
      onTrack: (kind, track) => this.#show(pid, { [kind]: track }),
      clock: this.options.clock,
    });
    for (const signal of member.early.splice(0)) member.peer.received(signal);
  }

  /** @param {Parley.Participant} participant who took up the place again, from another socket */
  async #resumed(participant) {
    const member = this.members.get(participant.pid);
    if (!member) return;
    if (!member.peer) { // unproven, or being proven: from the beginning
      this.#remove(participant.pid);
      return this.#add(participant, false);
    }
    member.participant = { ...participant, fingerprint: member.participant.fingerprint };
    if (!await isSigned(this.options.conversation, participant)) {
      member.peer.close();
      return this.#show(participant.pid, { state: 'unproven' });
    }
    member.participant = participant;
    member.peer.mend();
  }

  /** @param {string} pid */
  #remove(pid) {
    this.members.get(pid)?.peer?.close();
    this.members.delete(pid);
    const rest = new Map(this.views.value);
    rest.delete(pid);
    this.views.value = rest;
  }

  /** @param {string} pid @param {Partial<View>} change */
  #show(pid, change) {
    if (!this.members.has(pid)) return;
    batch(() => {
      const before = this.views.value.get(pid) ?? { state: 'connecting', sound: null, camera: null, screen: null };
      this.views.value = new Map(this.views.value).set(pid, /** @type {View} */ ({ ...before, ...change }));
    });
  }

  #configuration() {
    const iceServers = this.ice.servers.map(({ urls, username, credential }) => (username ? { urls, username, credential } : { urls }));
    return { iceServers, certificates: [this.options.certificate], iceTransportPolicy: this.options.relayOnly ? 'relay' : 'all' };
  }

  /** @param {Parley.Ice} ice @param {number} [age] milliseconds since it was given */
  #servers(ice, age = 0) {
    this.ice = ice;
    this.since = this.options.clock.now() - age;
    this.#refreshIn(Math.max(0, ice.ttl * 1000 * REFRESH_AT - age));
  }

  /** @param {number} ms */
  #refreshIn(ms) {
    const { clock } = this.options;
    clock.clearTimeout(this.timer);
    this.timer = clock.setTimeout(() => void this.#beforeTheyExpire(), ms);
  }

  async #beforeTheyExpire() {
    await this.#refresh();
    if (this.closed) return;
    // A relay forgets who lets the credentials expire. One side's new way serves both.
    for (const { peer } of this.members.values()) if (peer && !peer.options.polite) peer.rejuvenate();
  }

  /** Asks for new credentials unless those we have are new, or somebody is asking already. */
  #refresh() {
    if (this.options.clock.now() - this.since < FRESH_MS) return Promise.resolve();
    this.asking ??= this.options.askIce().then((ice) => { if (!this.closed) this.#servers(ice); })
      // No connection to the server now: the old ones may still do, and it is asked again.
      .catch(() => { if (!this.closed) this.#refreshIn(FRESH_MS); })
      .finally(() => { this.asking = null; });
    return this.asking;
  }
}

/** @param {any} connection @returns {Parley.Voice.Source} */
function sourceOf(connection) {
  return { stats: () => connection.getStats(), level: () => loudness(connection.getTransceivers()[0]?.receiver) };
}
