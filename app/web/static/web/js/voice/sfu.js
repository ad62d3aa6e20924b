/**
 * The route through the media server (SFU): what one sends goes there once, and what the others
 * send comes from there. Who is in the call remains Parley's word: whoever is at the media server
 * without a place in the room, or without their device's signature for it, is not heard.
 *
 * livekit-client mends its connection while it can. What it gives up is begun again here, with a
 * fresh token, until that has failed for PATIENCE_MS.
 */

import { isSigned } from './identity.js';
import { KINDS } from './peer.js';
import { loudness } from './speaking.js';
import { signal } from '../../vendor/signals-core.js';

const PATIENCE_MS = 45_000;
const RETRY_MS = 1_000;
const LONGEST_MS = 8_000;
/** Signals are lost for a moment when networks change, and media goes on; for longer, it is not likely to. */
const WAVER_MS = 4_000;

/** What changes who is there, or what comes from them. */
const NEWS = ['ParticipantConnected', 'ParticipantDisconnected', 'TrackSubscribed', 'TrackUnsubscribed'];

/** How each kind is published. @type {Record<Parley.Voice.Kind, any>} */
const SOURCES = {
  sound: { source: 'microphone' },
  camera: { source: 'camera', simulcast: true },
  // Letters have to be sharp: one size, and frames may be late.
  screen: { source: 'screen_share', simulcast: false, degradationPreference: 'maintain-resolution' },
};
/** @type {Map<string, Parley.Voice.Kind>} */
const KIND_OF = new Map(KINDS.map((kind) => [SOURCES[kind].source, kind]));

const ROOM = {
  // What every LiveKit understands, and what has been tried: one connection to send, one to receive.
  singlePeerConnection: false,
  dynacast: true,
  // Our tracks outlive a change of routes, and the page says itself when it goes.
  stopLocalTrackOnUnpublish: false, disconnectOnPageLeave: false,
  // About ten seconds: after that it is begun anew, with a fresh token.
  reconnectPolicy: {
    /** @param {{retryCount: number}} context */
    nextRetryDelayInMs: ({ retryCount }) => (retryCount < 6 ? Math.min(300 * 2 ** retryCount, 3_000) * (0.75 + Math.random() / 2) : null),
  },
};

/**
 * @typedef {object} Options
 * @property {string} me own pid
 * @property {string} conversation
 * @property {Parley.Sfu | null} given server and token, where they are known already
 * @property {() => Promise<Parley.Sfu | null>} ask for a fresh token; null: none is given now
 * @property {() => Promise<any>} load livekit-client
 * @property {() => boolean} online whether there is a connection to Parley: without, nothing is proven about the media server
 * @property {() => void} lost it cannot be reached
 * @property {Parley.Clock} clock
 */

export class Sfu {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.views = signal(/** @type {Map<string, Parley.Voice.View>} */ (new Map()));
    /** @type {Parley.Participant[]} the others */
    this.people = [];
    /** Whether a place is signed by its device, by pid and generation. @type {Map<string, {gen: number, signed: boolean | null}>} */
    this.proofs = new Map();
    /** @type {Record<Parley.Voice.Kind, any>} */
    this.tracks = { sound: null, camera: null, screen: null };
    /** What the server has of us. @type {Record<Parley.Voice.Kind, any>} */
    this.published = { sound: null, camera: null, screen: null };
    /** @type {Record<Parley.Voice.Kind, Promise<void>>} */
    this.queues = { sound: Promise.resolve(), camera: Promise.resolve(), screen: Promise.resolve() };
    this.muted = false;
    this.sending = false;
    this.closed = false;
    /** @type {any} LiveKit's Room */
    this.room = null;
    /** @type {any} */
    this.timer = null;
    this.failingSince = 0;
    /** Since when signals are lost, where they are. */
    this.wavering = 0;
    this.pause = RETRY_MS;
    void this.#open(options.given);
  }

  /** Who is in the room now. @param {Iterable<Parley.Participant>} participants */
  update(participants) {
    this.people = [...participants].filter((one) => one.pid !== this.options.me);
    for (const one of this.people) void this.#prove(one);
    this.#look();
  }

  /** From now on what one sends goes here. */
  begin() {
    this.sending = true;
    for (const kind of KINDS) this.#align(kind);
  }

  /** @param {Parley.Voice.Kind} kind @param {any} track null: nothing of that kind any more */
  send(kind, track) {
    this.tracks[kind] = track;
    this.#align(kind);
  }

  /** The server passes on nothing of who is muted. @param {boolean} muted */
  mute(muted) {
    this.muted = muted;
    this.#align('sound');
  }

  /** Whether all that is to be sent is at the server. */
  get sent() {
    return this.sending && this.#up && KINDS.every((kind) => this.published[kind] === this.tracks[kind]);
  }

  /** @returns {[string, Parley.Voice.Source][]} whose sound comes */
  sources() {
    return [...this.views.value].flatMap(([pid, view]) => {
      const receiver = view.sound && this.#publications(pid).find((one) => KIND_OF.get(one.source) === 'sound')?.track?.receiver;
      // Packets from the server need not name their loudness; then it is the server that tells who speaks.
      const told = () => this.room?.remoteParticipants.get(pid)?.audioLevel ?? 0;
      return receiver ? [[pid, { stats: () => receiver.getStats(), level: () => Math.max(loudness(receiver), told()) }]] : [];
    });
  }

  close() {
    this.closed = true;
    this.options.clock.clearTimeout(this.timer);
    this.#drop();
  }

  get #up() {
    const state = this.room?.state;
    return state === 'connected' || (state === 'signalReconnecting' && this.options.clock.now() - this.wavering < WAVER_MS);
  }

  #stateChanged() {
    const { clock } = this.options;
    if (this.room?.state === 'signalReconnecting') {
      this.wavering = clock.now();
      clock.setTimeout(() => { if (!this.closed) this.#look(); }, WAVER_MS);
    }
    this.#look();
    // What was to be sent or muted meanwhile.
    if (this.room?.state === 'connected') for (const kind of KINDS) this.#align(kind);
  }

  /** @param {Parley.Sfu | null} given */
  async #open(given) {
    /** @type {any} */
    let room = null;
    try {
      const [grant, livekit] = await Promise.all([given ?? this.options.ask(), this.options.load()]);
      if (this.closed) return;
      if (!grant) throw new Error('no token is given now');
      room = new livekit.Room(ROOM);
      this.room = room;
      for (const name of NEWS) room.on(livekit.RoomEvent[name], () => this.#look());
      room.on(livekit.RoomEvent.ConnectionStateChanged, () => this.#stateChanged());
      await room.connect(grant.url, grant.token);
      if (this.room !== room) return;
      room.on(livekit.RoomEvent.Disconnected, () => { if (this.room === room) this.#again(); });
      this.failingSince = 0;
      this.pause = RETRY_MS;
    } catch {
      if (!this.closed && this.room === room) this.#again();
    }
  }

  #again() {
    const { clock, lost, online } = this.options;
    this.#drop();
    this.#look();
    const now = clock.now();
    if (!online()) this.failingSince = 0;
    else this.failingSince ||= now;
    if (this.failingSince && now - this.failingSince > PATIENCE_MS) return lost();
    this.timer = clock.setTimeout(() => void this.#open(null), this.pause);
    this.pause = Math.min(this.pause * 2, LONGEST_MS);
  }

  #drop() {
    const { room } = this;
    this.room = null;
    for (const kind of KINDS) this.published[kind] = null;
    // Our tracks go on by another route.
    room?.disconnect(false).catch(() => {});
  }

  // What comes.

  /** @param {Parley.Participant} participant */
  async #prove(participant) {
    const { pid, gen } = participant;
    const known = this.proofs.get(pid);
    if (known?.gen === gen) return;
    this.proofs.set(pid, { gen, signed: known?.signed ?? null });
    const signed = await isSigned(this.options.conversation, participant);
    if (this.proofs.get(pid)?.gen !== gen) return;
    this.proofs.set(pid, { gen, signed });
    this.#look();
  }

  #look() {
    this.views.value = new Map(this.people.map(({ pid }) => [pid, this.#view(pid)]));
  }

  /** @param {string} pid @returns {Parley.Voice.View} */
  #view(pid) {
    const view = /** @type {Parley.Voice.View} */ ({ state: 'connecting', sound: null, camera: null, screen: null });
    const { signed = null } = this.proofs.get(pid) ?? {};
    if (signed === false) return { ...view, state: 'unproven' };
    if (signed === null) return view;
    if (this.#up && this.room.remoteParticipants.has(pid)) view.state = 'connected';
    else if (['connected', 'interrupted'].includes(this.views.value.get(pid)?.state ?? '')) view.state = 'interrupted';
    for (const { source, track } of this.#publications(pid)) {
      const kind = KIND_OF.get(source);
      if (kind && track) view[kind] = track.mediaStreamTrack;
    }
    return view;
  }

  /** @param {string} pid @returns {any[]} */
  #publications(pid) {
    return [...this.room?.remoteParticipants.get(pid)?.trackPublications.values() ?? []];
  }

  // What goes.

  /** Makes what is published what is to be sent, one change of a kind after the other. @param {Parley.Voice.Kind} kind */
  #align(kind) {
    this.queues[kind] = this.queues[kind].then(() => this.#change(kind)).catch(() => {
      const { room } = this;
      // Not taken by the server: asked again as long as it is wanted there.
      this.options.clock.setTimeout(() => { if (this.room === room && !this.closed) this.#align(kind); }, RETRY_MS);
    });
  }

  /** @param {Parley.Voice.Kind} kind */
  async #change(kind) {
    const { room } = this;
    if (!this.#up || this.closed) return;
    const wanted = this.sending ? this.tracks[kind] : null;
    const now = this.published[kind];
    if (now === wanted) return this.#silence(kind);
    const { localParticipant: me } = room;
    if (!wanted) await me.unpublishTrack(now, false);
    else if (now) await me.getTrackPublication(SOURCES[kind].source).track.replaceTrack(wanted, true);
    else await me.publishTrack(wanted, SOURCES[kind]);
    if (this.room !== room) return;
    this.published[kind] = wanted;
    await this.#silence(kind);
  }

  /** @param {Parley.Voice.Kind} kind */
  async #silence(kind) {
    if (kind !== 'sound' || !this.published.sound) return;
    const publication = this.room.localParticipant.getTrackPublication(SOURCES.sound.source);
    if (publication && publication.isMuted !== this.muted) await (this.muted ? publication.mute() : publication.unmute());
  }
}
