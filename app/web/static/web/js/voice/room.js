/**
 * One's own place in a room: idle → joining → connecting → connected ⇄ reconnecting → left(reason).
 *
 * The place is the server's: a lease that is renewed every few seconds. A new socket takes the
 * place up again as its next generation; whether people are heard meanwhile is another matter,
 * and both are told as they are. What ended for another reason than one's own wish says which.
 */

import { deviceOf, fingerprints, isAnnounced, sign } from './identity.js';
import { Hearing, every } from './hearing.js';
import { Mesh } from './mesh.js';
import { KINDS } from './peer.js';
import { newId } from '../ids.js';
import { Routes } from './routes.js';
import { Sfu } from './sfu.js';
import { Code, ConnectionLost, Refused } from '../protocol.js';
import { sfuClient } from '../sfu-client.js';
import { batch, computed, effect, signal } from '../../vendor/signals-core.js';

const ASK_AGAIN_MS = 1_000;
const WORD_MS = 2_000;
/** Whose network was away for longer has to say that they are still there. */
const COME_BACK_MS = 90_000;

/** @typedef {'idle' | 'joining' | 'connecting' | 'connected' | 'reconnecting' | 'left'} Phase */
/** @typedef {{reason: string, by: string | null, conversation: string}} End */

/** The browser's part of a call, which a test replaces. */
export const browserEngine = {
  /** @param {any} configuration @returns {any} */
  connect: (configuration) => new RTCPeerConnection(configuration),
  /** @returns {Promise<any>} */
  certificate: () => RTCPeerConnection.generateCertificate(/** @type {any} */ ({ name: 'ECDSA', namedCurve: 'P-256' })),
  /** What speaks to the media server, once a call goes through it. @returns {Promise<any>} */
  sfuClient,
};

/** A certificate's fingerprint, from a description: not every browser tells it otherwise. @param {typeof browserEngine} engine @param {any} certificate */
async function fingerprintOf(engine, certificate) {
  const connection = engine.connect({ certificates: [certificate] });
  try {
    connection.addTransceiver('audio');
    const [fingerprint] = fingerprints((await connection.createOffer()).sdp);
    if (!fingerprint || !isAnnounced(`a=fingerprint:sha-256 ${fingerprint}`, fingerprint)) throw new Error('This browser names no SHA-256 fingerprint.');
    return fingerprint;
  } finally {
    connection.close();
  }
}

/**
 * @typedef {object} Options
 * @property {Parley.Me} me
 * @property {(op: string, d: object) => Promise<any>} request
 * @property {() => boolean} online whether there is a connection to the server
 * @property {(place: Parley.VoicePlace, fresh: boolean) => void} onPlace the mesh is to be told who is there
 * @property {() => Promise<Parley.Voice.Device>} [device]
 * @property {typeof browserEngine} [engine]
 * @property {Parley.Clock} clock
 */

export class Room {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.clock = options.clock;
    this.engine = options.engine ?? browserEngine;
    this.device = options.device ?? (() => deviceOf(options.me.id));
    this.place = signal(/** @type {Parley.VoicePlace | null} */ (null));
    this.joining = signal(/** @type {string | null} */ (null));
    this.end = signal(/** @type {End | null} */ (null));
    /** Since when the server does not know of us on this socket, in milliseconds; 0 when it does. */
    this.unseated = signal(0);
    this.reached = signal(false);
    this.routes = signal(/** @type {Routes | null} */ (null));
    this.muted = signal(false);
    this.mutedBy = signal(/** @type {string | null} */ (null));
    this.hearing = new Hearing({
      clock: this.clock,
      me: () => this.#seat().pid,
      sources: () => this.routes.value?.sources() ?? [],
      // A report that is lost is one of many.
      report: (peer, measured) => { options.request('voice.report', { ...this.#seat(), peer, ...measured }).catch(() => {}); },
    });
    /** @type {Record<string, any>} */
    this.tracks = { sound: null, camera: null, screen: null };
    this.relayOnly = false;
    this.lastPid = '';
    /** @type {{fingerprint: string, certificate: any, device: Parley.Voice.Device} | null} */
    this.announced = null;
    /** What was asked and not answered: asked again as it was, it changes nothing twice. @type {any} */
    this.asked = null;
    this.serial = 0;
    this.renewing = () => {};
    /** What comes from each of the others, by pid. */
    this.views = computed(() => this.routes.value?.views.value ?? new Map());
    /** Whether media goes through the media server. */
    this.atServer = computed(() => this.routes.value?.through.value === 'sfu');
    this.conversation = computed(() => this.place.value?.conversation ?? this.joining.value);
    this.phase = computed(() => this.#phase());
    effect(() => { if (this.place.value && this.#heard() > 0) this.reached.value = true; });
  }

  /** @returns {Phase} */
  #phase() {
    const place = this.place.value;
    if (!place) return this.joining.value ? 'joining' : this.end.value ? 'left' : 'idle';
    if (this.unseated.value) return 'reconnecting';
    if (this.views.value.size === 0 || this.#heard() > 0) return 'connected';
    return this.reached.value ? 'reconnecting' : 'connecting';
  }

  #heard() {
    return [...this.views.value.values()].filter((view) => view.state === 'connected').length;
  }

  /** What is sent of a kind; tracks may be given before joining. @param {Parley.Voice.Kind} kind @param {any} track */
  give(kind, track) {
    this.tracks[kind] = track;
    if (kind === 'sound' && track) track.enabled = !this.muted.value;
    this.routes.value?.send(kind, track);
  }

  /**
   * @param {string} conversation
   * @param {{muted?: boolean, relayOnly?: boolean}} [how]
   * @throws {Refused | ConnectionLost} and whatever the browser cannot do
   */
  async join(conversation, { muted = false, relayOnly = false } = {}) {
    if (this.place.value) await this.leave();
    const serial = (this.serial += 1);
    batch(() => {
      this.joining.value = conversation;
      this.end.value = null;
      this.relayOnly = relayOnly;
      this.#mutedIs(muted, null);
    });
    try {
      const device = await this.device();
      const certificate = await this.engine.certificate();
      const fingerprint = await fingerprintOf(this.engine, certificate);
      const pid = newId();
      const signature = await sign(device, conversation, pid, 1, fingerprint);
      const wanted = { conversation, pid, device: device.id, key: device.key, fingerprint, signature, muted };
      const place = await this.#patiently(() => this.options.request('voice.join', wanted), () => serial === this.serial);
      if (serial !== this.serial) return this.#giveBack(place);
      this.announced = { fingerprint, certificate, device };
      this.#seated(place, true);
      if (this.tracks.screen || this.tracks.camera) void this.share().catch(() => {});
    } catch (error) {
      if (serial === this.serial) this.joining.value = null;
      throw error;
    }
  }

  /** Asks until there is an answer: the same question twice is one. @template T @param {() => Promise<T>} ask @param {() => boolean} wanted @returns {Promise<T>} */
  async #patiently(ask, wanted) {
    for (let tries = 0; ; tries += 1) {
      try {
        return await ask();
      } catch (error) {
        const passing = error instanceof ConnectionLost || (error instanceof Refused && error.retry);
        if (!passing || tries >= 15 || !wanted()) throw error;
        await new Promise((resolve) => { this.clock.setTimeout(() => resolve(undefined), ASK_AGAIN_MS); });
      }
    }
  }

  /** Joined, but not wanted any more. @param {Parley.VoicePlace} place */
  #giveBack({ pid, gen }) {
    this.options.request('voice.leave', { pid, gen }).catch(() => {});
  }

  /** @param {Parley.VoicePlace} place @param {boolean} fresh */
  #seated(place, fresh) {
    batch(() => {
      if (fresh) {
        this.routes.value?.close();
        this.routes.value = this.#makeRoutes(place);
        this.reached.value = false;
      }
      this.joining.value = null;
      this.place.value = place;
      this.unseated.value = 0;
      this.options.onPlace(place, fresh);
      if (!fresh) this.routes.value?.resumed(place.ice, place.sfu ?? null);
    });
    this.renewing();
    this.renewing = every(this.clock, place.renew * 1000, () => this.#renew());
    if (fresh) this.hearing.begin();
  }

  /** @param {Parley.VoicePlace} place */
  #makeRoutes(place) {
    const since = this.clock.now();
    const routes = new Routes({
      me: place.pid, clock: this.clock,
      mesh: () => this.#makeMesh(place, this.clock.now() - since),
      sfu: (given, lost) => new Sfu({
        me: place.pid, conversation: place.conversation, given, lost, clock: this.clock,
        ask: async () => (await this.#askIce()).sfu ?? null,
        load: this.engine.sfuClient,
        online: () => !this.unseated.value,
      }),
      lost: () => this.#unreachable(),
    }, place.sfu ?? null);
    for (const kind of KINDS) routes.send(kind, this.tracks[kind]);
    routes.mute(this.muted.value);
    return routes;
  }

  /** @param {Parley.VoicePlace} place @param {number} age of what it has in hand, in milliseconds */
  #makeMesh(place, age) {
    return new Mesh({
      me: place.pid, conversation: place.conversation, ice: place.ice, age, relayOnly: this.relayOnly, clock: this.clock,
      certificate: this.announced?.certificate,
      connect: this.engine.connect,
      askIce: () => this.#askIce(),
      // A signal that is lost or refused comes again with the next look at the connection.
      send: (to, gen, signal) => { this.options.request('voice.signal', { to, gen, ...signal }).catch(() => {}); },
    });
  }

  /** @returns {Promise<Parley.Ice>} fresh credentials of relays, and of the media server where there is one */
  #askIce() {
    return this.options.request('voice.ice', this.#seat());
  }

  #seat() {
    const { pid = '', gen = 0 } = this.place.value ?? {};
    return { pid, gen };
  }

  // The server's word.

  /** There is a connection to the server, maybe another one: take the place up from it. */
  async connected() {
    const place = this.place.value;
    if (!place || !this.announced) return;
    const { pid, conversation } = place;
    this.unseated.value ||= this.clock.now();
    this.renewing();
    const since = this.unseated.value;
    try {
      if (this.asked?.pid !== pid || this.asked.gen !== place.gen + 1) {
        const { device, fingerprint } = this.announced;
        const signature = await sign(device, conversation, pid, place.gen + 1, fingerprint);
        this.asked = { pid, gen: place.gen + 1, fingerprint, signature };
      }
      const answer = await this.options.request('voice.resume', this.asked);
      if (this.place.value === place) this.#seated(answer, false);
    } catch (error) {
      if (this.place.value !== place || error instanceof ConnectionLost) return; // the next connection asks again
      if (error instanceof Refused && error.retry) this.clock.setTimeout(() => { if (this.place.value === place && this.options.online()) void this.connected(); }, ASK_AGAIN_MS);
      else this.#gone(since);
    }
  }

  disconnected() {
    if (!this.place.value) return;
    this.unseated.value ||= this.clock.now();
    this.renewing();
  }

  async #renew() {
    const place = this.place.value;
    try {
      await this.options.request('voice.renew', this.#seat());
    } catch (error) {
      if (this.place.value !== place || !(error instanceof Refused) || error.retry) return;
      this.#gone(this.clock.now());
    }
  }

  /**
   * The server has no such place any more. Who was put out is told so by the room's stream; if
   * nothing comes, it was the silence. @param {number} since
   */
  #gone(since) {
    const place = this.place.value;
    if (!place) return;
    this.unseated.value ||= since;
    this.renewing();
    this.clock.setTimeout(() => {
      if (this.place.value === place) this.#silent(place);
    }, WORD_MS);
  }

  /** The lease ended in a silence that nobody wanted: come back, unless it was long. @param {Parley.VoicePlace} place */
  #silent(place) {
    const now = this.clock.now();
    if (now - (this.unseated.value || now) > COME_BACK_MS) this.over('timeout', null);
    else void this.#comeBack(place);
  }

  /** @param {Parley.VoicePlace} place */
  async #comeBack(place) {
    this.#drop();
    try {
      await this.join(place.conversation, { muted: this.muted.value, relayOnly: this.relayOnly });
    } catch (error) {
      const refused = error instanceof Refused && (error.code === Code.NOT_FOUND || error.code === Code.DENIED);
      this.#ended(refused ? 'revoked' : 'timeout', null, place.conversation);
    }
  }

  /** An event of the room's stream, after the roster has taken it in. @param {{t: string, d: any}} event @param {Parley.Voice.Roster} roster */
  happened({ t, d }, roster) {
    const place = this.place.value;
    if (!place) return;
    if (t === 'voice.signalled') {
      if (d.to === place.pid) this.routes.value?.received(d.sender, d);
      return;
    }
    if (d.pid === place.pid && t === 'voice.left') return d.reason === 'timeout' ? this.#silent(place) : this.over(d.reason, d.by);
    if (d.pid === place.pid && t === 'voice.changed' && d.muted && d.muted_by) this.#mutedIs(true, d.muted_by);
    if (t === 'voice.handover') this.routes.value?.handedOver(d);
    this.routes.value?.update(roster.values());
  }

  /** Whether a place is, or was last, ours. @param {string} pid */
  was(pid) {
    return this.place.value?.pid === pid || this.lastPid === pid;
  }

  /** A host muted us, or we did so elsewhere. @param {boolean} muted @param {string | null} by */
  #mutedIs(muted, by) {
    this.muted.value = muted;
    this.mutedBy.value = by;
    if (this.tracks.sound) this.tracks.sound.enabled = !muted;
    this.routes.value?.mute(muted);
  }

  // What one does.

  /** Takes effect here at once; the others' word for it follows. @param {boolean} muted */
  async mute(muted) {
    this.#mutedIs(muted, null);
    const place = this.place.value;
    if (!place) return;
    await this.#patiently(() => this.options.request('voice.mute', { pid: place.pid, muted: this.muted.value }), () => this.place.value?.pid === place.pid);
  }

  /** Tells what is sent beside sound. */
  async share() {
    const screen = Boolean(this.tracks.screen);
    const video = Boolean(this.tracks.camera);
    const { place } = this;
    const pid = place.value?.pid;
    if (pid) await this.#patiently(() => this.options.request('voice.share', { ...this.#seat(), screen, video }), () => place.value?.pid === pid);
  }

  /** Leaves at once; the server hears of it when it can. */
  async leave() {
    this.serial += 1;
    const { place } = this;
    const seat = this.#seat();
    if (place.value) this.hearing.report();
    const told = place.value ? this.options.request('voice.leave', seat) : Promise.resolve();
    this.#drop();
    this.#ended(null, null, '');
    // Without a connection the lease ends by itself.
    await told.catch(() => {});
  }

  /** It ended, and not by one's own wish. @param {string} reason @param {string | null} by */
  over(reason, by) {
    const conversation = this.place.value?.conversation ?? '';
    this.#drop();
    this.#ended(reason, by, conversation);
  }

  /** The call goes through the media server, and there is no way to it from here. */
  #unreachable() {
    this.options.request('voice.leave', this.#seat()).catch(() => {});
    this.over('sfu_handover', null);
  }

  /** @param {string | null} reason null where it was one's own wish @param {string | null} by @param {string} conversation */
  #ended(reason, by, conversation) {
    batch(() => {
      this.joining.value = null;
      this.end.value = reason ? { reason, by, conversation } : null;
    });
  }

  #drop() {
    this.renewing();
    this.lastPid = this.place.value?.pid ?? this.lastPid;
    batch(() => {
      this.routes.value?.close();
      this.routes.value = null;
      this.place.value = null;
      this.asked = null;
      this.unseated.value = 0;
      this.reached.value = false;
      this.hearing.end();
    });
  }
}
