/**
 * The calls that this page knows of: who is in the room of the conversation that is open, and
 * one's own place in one. Each room's roster follows the stream `voice:<conversation>`.
 */

import * as browserDevices from './devices.js';
import { Media } from './media.js';
import { Room } from './room.js';
import { applied, roster } from './roster.js';
import { voiceStream } from '../protocol.js';
import { batch, computed, effect, signal, untracked } from '../../vendor/signals-core.js';

/**
 * @typedef {{call: string | null, roster: Parley.Voice.Roster, capacity: number, notice: string[], host: boolean}} RoomView
 * @typedef {{kind: 'joined' | 'left' | 'kicked' | 'muted' | 'moved' | 'sharing' | 'notice' | 'server' | 'mesh', user: string, by: string | null, conversation: string, notice?: string[]}} News
 * @typedef {object} Options
 * @property {Parley.Me} me
 * @property {Parley.Voice.Api} api
 * @property {(op: string, d: object) => Promise<any>} request
 * @property {() => boolean} online
 * @property {Parley.Voice.Streams} streams
 * @property {Parley.KeyValue} storage
 * @property {Parley.Clock} clock
 * @property {Parley.Voice.Engine} [engine]
 * @property {() => Promise<Parley.Voice.Device>} [device]
 * @property {any} [devices]
 */

export class Calls {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    this.devices = /** @type {typeof browserDevices} */ (options.devices ?? browserDevices);
    this.choices = browserDevices.choices(options.storage);
    this.rooms = signal(/** @type {Map<string, RoomView>} */ (new Map()));
    /** The last thing that happened in one's own room, for notices and for who listens to the page. */
    this.news = signal(/** @type {News | null} */ (null));
    /** What went wrong without anybody here having asked for something. */
    this.trouble = signal(/** @type {Error | null} */ (null));
    /** @type {string | null} */
    this.watched = null;
    this.room = new Room({
      me: options.me, request: options.request, online: options.online, clock: options.clock,
      ...(options.engine ? { engine: options.engine } : {}), ...(options.device ? { device: options.device } : {}),
      onPlace: (place, fresh) => this.#placed(place, fresh),
    });
    this.media = new Media({ devices: this.devices, clock: options.clock, give: (kind, track) => this.room.give(kind, track) });
    this.pushToTalk = signal(this.choices.get('push-to-talk') === 'on');
    /** How loud people are here, where it was changed on this page; by person. */
    this.volumes = signal(/** @type {Map<string, number>} */ (new Map()));
    this.speaker = signal(this.choices.get('speaker'));
    /** Speaking into a microphone that is muted: the others do not hear it. */
    this.unheard = computed(() => this.room.muted.value && this.media.talking.value);
    effect(() => {
      const { pid } = this.room.place.value ?? {};
      const speaks = this.media.talking.value && !this.room.muted.value;
      if (pid) untracked(() => this.room.hearing.heard(pid, speaks ? 1 : 0, speaks ? undefined : Infinity));
    });
    effect(() => {
      const { phase } = this.room;
      // Nothing is recorded by a page that is in no call.
      if (phase.value === 'left') untracked(() => this.media.closeAll());
    });
  }

  /** @param {string} conversation @returns {RoomView | null} null while it is not known */
  view(conversation) {
    return this.rooms.value.get(conversation) ?? null;
  }

  /** Follows the room of the conversation that is looked at; one's own is followed anyway. @param {string | null} conversation */
  watch(conversation) {
    const before = this.watched;
    if (before === conversation && (!conversation || this.view(conversation))) return;
    this.watched = conversation;
    if (before && before !== conversation) this.#forget(before);
    if (conversation) void this.#load(conversation);
  }

  /** @param {string} conversation */
  #forget(conversation) {
    if (this.watched === conversation || this.room.conversation.value === conversation) return;
    this.options.streams.leave(voiceStream(conversation));
    const rest = new Map(this.rooms.value);
    rest.delete(conversation);
    this.rooms.value = rest;
  }

  /** @param {string} conversation */
  async #load(conversation) {
    const { streams, clock } = this.options;
    const name = voiceStream(conversation);
    try {
      const found = await this.options.api.get(`/conversations/${conversation}/voice`);
      if (this.watched !== conversation && this.room.conversation.value !== conversation) return;
      // What the stream has brought since is newer than this answer.
      const at = streams.position(name);
      if (at?.epoch === found.position.epoch && at && at.offset > found.position.offset) return;
      this.#show(conversation, { ...found, roster: roster(found.participants) });
      // A room in which nobody has ever been has no stream yet: from its top, and then we look again.
      if (!at) streams.follow(name, found.position.epoch ? found.position : null);
      else if (found.position.epoch) streams.reset(name, found.position);
      if (this.room.place.value?.conversation === conversation) this.room.routes.value?.update(found.participants);
    } catch (error) {
      if (/** @type {any} */ (error).status === 404) return;
      clock.setTimeout(() => { if (this.watched === conversation) void this.#load(conversation); }, 3_000);
    }
  }

  /** The stream cannot be continued. @param {string} stream */
  async reload(stream) {
    const conversation = stream.slice('voice:'.length);
    await this.#load(conversation);
    // Where media goes may have changed with what is missing: the server says so to who takes up their place.
    if (this.room.place.value?.conversation === conversation) await this.room.connected();
  }

  /** @param {Parley.VoicePlace} place @param {boolean} fresh */
  #placed(place, fresh) {
    const { conversation } = place;
    const news = this.options.streams.placed(place.s, { epoch: place.e, offset: place.o });
    const known = this.view(conversation);
    const now = news || !known ? roster(place.participants) : known.roster;
    this.#show(conversation, { call: place.call, roster: now, capacity: place.capacity, notice: place.notice, host: place.host });
    this.room.routes.value?.update(now.values(), fresh);
  }

  /** @param {string} conversation @param {RoomView} view */
  #show(conversation, { call, roster: people, capacity, notice, host }) {
    this.rooms.value = new Map(this.rooms.value).set(conversation, { call, roster: people, capacity, notice: notice ?? [], host: Boolean(host) });
  }

  // The connection.

  connected() {
    void this.room.connected();
    if (this.watched && !this.view(this.watched)) void this.#load(this.watched);
  }

  disconnected() {
    this.room.disconnected();
  }

  /** A conversation is no longer mine. @param {string} conversation */
  removed(conversation) {
    if (this.room.place.value?.conversation === conversation) this.room.over('revoked', null);
    if (this.watched === conversation) this.watched = null;
    this.#forget(conversation);
  }

  /** @param {Parley.EventFrame} frame of a room's stream */
  happened({ s, t, d }) {
    const conversation = s.slice('voice:'.length);
    batch(() => {
      const before = this.view(conversation);
      if (before && t !== 'voice.signalled') {
        const after = applied(before.roster, { t, d });
        if (t === 'voice.notice') this.#show(conversation, { ...before, notice: d.notice });
        else if (after !== before.roster) this.#show(conversation, { ...before, roster: after, call: after.size === 0 ? null : d.call ?? before.call });
        if (conversation === this.room.place.value?.conversation) this.#tell(conversation, before.roster, { t, d });
      }
      if (conversation === this.room.place.value?.conversation) this.room.happened({ t, d }, this.view(conversation)?.roster ?? new Map());
    });
    if (t === 'voice.left' && this.room.was(d.pid)) this.#forget(conversation);
  }

  /** @param {string} conversation @param {Parley.Voice.Roster} before @param {{t: string, d: any}} event */
  #tell(conversation, before, { t, d }) {
    const mine = this.room.place.value?.pid;
    const user = d.user ?? d.participant?.user ?? before.get(d.pid)?.user;
    const pid = d.pid ?? d.participant?.pid;
    /** @type {News['kind'] | null} */
    let kind = null;
    if (t === 'voice.joined' && !before.has(pid)) kind = 'joined';
    else if (t === 'voice.left' && pid !== mine && d.reason !== 'replaced') kind = d.reason === 'kicked' ? 'kicked' : 'left';
    else if (t === 'voice.changed' && pid === mine && d.muted && d.muted_by) kind = 'muted';
    else if (t === 'voice.changed' && pid !== mine && d.screen && !before.get(pid)?.screen) kind = 'sharing';
    else if (t === 'voice.handover' && d.to === 'sfu' && d.force && !this.room.atServer.value) kind = 'server';
    else if (t === 'voice.handover' && d.to === 'mesh' && this.room.atServer.value) kind = 'mesh';
    if (t === 'voice.notice' && d.notice.length > 0) this.news.value = { kind: 'notice', user: '', by: null, conversation, notice: d.notice };
    if (kind && pid !== (kind === 'joined' ? mine : null)) this.news.value = { kind, user, by: d.by ?? d.muted_by ?? null, conversation };
  }

  /** A host sends us on: we come, muted, as nobody here has asked for it. @param {{pid: string, conversation: string, by: string}} summons */
  summoned({ pid, conversation, by }) {
    if (!this.room.was(pid)) return;
    this.news.value = { kind: 'moved', user: this.options.me.id, by, conversation };
    const how = { muted: true, relayOnly: this.room.relayOnly, listening: this.choices.get('listening') === 'on' };
    this.join(conversation, how).catch((error) => { this.trouble.value = error; });
  }

  // What one does.

  /**
   * @param {string} conversation
   * @param {{muted: boolean, listening?: boolean, relayOnly?: boolean}} how
   */
  async join(conversation, { muted, listening = false, relayOnly = false }) {
    this.choices.set('listening', listening ? 'on' : '');
    if (listening) this.media.closeMicrophone();
    else if (!this.media.microphone.value) await this.media.openMicrophone(this.choices.get('microphone'));
    const before = this.room.conversation.value;
    try {
      await this.room.join(conversation, { muted: muted || listening, relayOnly });
    } catch (error) {
      this.media.closeAll();
      throw error;
    }
    if (before && before !== conversation) this.#forget(before);
  }

  async leave() {
    const { conversation } = this.room;
    const before = conversation.value;
    this.media.closeAll();
    const told = this.room.leave();
    if (before) this.#forget(before);
    await told;
  }

  /** @param {boolean} muted one who only listens gets a microphone when unmuting */
  async mute(muted) {
    if (!muted && !this.media.microphone.value) {
      await this.media.openMicrophone(this.choices.get('microphone'));
      this.choices.set('listening', '');
    }
    await this.room.mute(muted);
  }

  /** @param {'camera' | 'screen'} kind */
  async toggle(kind) {
    if (this.media[kind].value) this.media.close(kind);
    else if (kind === 'camera') await this.media.openCamera(this.choices.get('camera'));
    else await this.media.openScreen(() => void this.room.share().catch(() => {}));
    await this.room.share();
  }

  /** @param {string} device */
  setSpeaker(device) {
    this.choices.set('speaker', device);
    this.speaker.value = device;
  }

  /** @param {string} conversation @returns {Promise<Parley.PastCall[]>} the latest first */
  async past(conversation) {
    return (await this.options.api.get(`/conversations/${conversation}/calls`)).calls;
  }

  /** @param {boolean} on */
  setPushToTalk(on) {
    this.choices.set('push-to-talk', on ? 'on' : '');
    this.pushToTalk.value = on;
  }

  /** @param {string} pid */
  kick(pid) {
    return this.options.request('voice.kick', { pid });
  }

  /** @param {string} pid */
  muteOther(pid) {
    return this.options.request('voice.mute', { pid, muted: true });
  }

  /** @param {string} pid @param {string} conversation */
  move(pid, conversation) {
    return this.options.request('voice.move', { pid, conversation });
  }

  /** How loud somebody is here, 0 to 1; kept for the person. @param {string} user */
  volume(user) {
    return Number(this.choices.get(`volume:${user}`) || 1);
  }

  /** @param {string} user @param {number} value */
  setVolume(user, value) {
    this.choices.set(`volume:${user}`, value === 1 ? '' : String(value));
    this.volumes.value = new Map(this.volumes.value).set(user, value);
  }
}
