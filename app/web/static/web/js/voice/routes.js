/**
 * Where media goes: from device to device (mesh), or through the media server (SFU); and how it
 * changes over without a gap. The new route is made first, the old one is kept to everybody who is
 * not there yet, and who is heard twice meanwhile is played once.
 */

import { every } from './hearing.js';
import { batch, computed, signal } from '../../vendor/signals-core.js';

const LOOK_MS = 500;
/** How long somebody is at the new route before the old one to them ends: they need to have found us as well. */
const SETTLED_MS = 2_000;
/** After this, silence at the new route counts as that: who has no microphone sends nothing there. */
const DEADLINE_MS = 15_000;

/**
 * @typedef {object} Options
 * @property {string} me own pid
 * @property {() => Parley.Voice.MeshRoute} mesh
 * @property {(given: Parley.Sfu | null, lost: () => void) => Parley.Voice.SfuRoute} sfu
 * @property {() => void} lost the media server carries the call, and cannot be reached
 * @property {Parley.Clock} clock
 */

export class Routes {
  /** @param {Options} options @param {Parley.Sfu | null} given where the call goes through the media server already */
  constructor(options, given) {
    this.options = options;
    this.mesh = signal(/** @type {Parley.Voice.MeshRoute | null} */ (null));
    this.sfu = signal(/** @type {Parley.Voice.SfuRoute | null} */ (null));
    /** Where media is to go, by the server's word. */
    this.through = signal(/** @type {'mesh' | 'sfu'} */ (given ? 'sfu' : 'mesh'));
    this.views = computed(() => this.#views());
    /** @type {Parley.Participant[]} */
    this.people = [];
    /** @type {Map<Parley.Voice.Kind, any>} */
    this.tracks = new Map();
    this.muted = false;
    /** Since when somebody is at the new route, by pid. @type {Map<string, number>} */
    this.there = new Map();
    this.deadline = 0;
    this.stop = () => {};
    if (given) this.#toSfu(given);
    else this.mesh.value = options.mesh();
  }

  /** @returns {Map<string, Parley.Voice.View>} of each of the others, what is best */
  #views() {
    const mesh = this.mesh.value?.views.value ?? new Map();
    const sfu = this.sfu.value?.views.value ?? new Map();
    const [first, second] = this.through.value === 'sfu' ? [sfu, mesh] : [mesh, sfu];
    return new Map([...new Set([...first.keys(), ...second.keys()])].map((pid) => [pid, better(first.get(pid), second.get(pid))]));
  }

  /** Who is in the room now. @param {Iterable<Parley.Participant>} participants @param {boolean} offering as of `Mesh.update` */
  update(participants, offering = false) {
    this.people = [...participants];
    batch(() => {
      this.sfu.value?.update(this.people);
      if (this.through.value === 'mesh') this.mesh.value?.update(this.people, offering);
      else this.#keep((pid) => this.mesh.value?.members.has(pid) ?? false);
    });
  }

  /** The server's word where media goes from now on. @param {{to: 'sfu' | 'mesh', force: boolean}} handover */
  handedOver({ to, force }) {
    if (to === 'mesh') this.#toMesh();
    else if (force) this.#toSfu(null);
    else this.#connect(null);
  }

  /** The server is there again, and says where media goes now. @param {Parley.Ice} ice @param {Parley.Sfu | null} sfu */
  resumed(ice, sfu) {
    this.mesh.value?.resumed(ice);
    if (sfu && this.through.value === 'mesh') this.#toSfu(sfu);
    if (!sfu && this.through.value === 'sfu') this.#toMesh();
  }

  /** @param {string} sender @param {Parley.Voice.Signal} signal */
  received(sender, signal) {
    this.mesh.value?.received(sender, signal);
  }

  /** @param {Parley.Voice.Kind} kind @param {any} track null: nothing of that kind any more */
  send(kind, track) {
    this.tracks.set(kind, track);
    this.mesh.value?.send(kind, track);
    this.sfu.value?.send(kind, track);
  }

  /** The track is silent already; the media server is told so that it sends nothing on. @param {boolean} muted */
  mute(muted) {
    this.muted = muted;
    this.sfu.value?.mute(muted);
  }

  /** @returns {[string, Parley.Voice.Source][]} what comes from each of the others, by the route that is played */
  sources() {
    const mesh = this.mesh.value?.sources() ?? [];
    const sfu = this.sfu.value?.sources() ?? [];
    return [...new Map(this.through.value === 'sfu' ? [...mesh, ...sfu] : [...sfu, ...mesh])];
  }

  close() {
    this.stop();
    batch(() => { this.#endMesh(); this.#endSfu(); });
  }

  /** @param {Parley.Sfu | null} given */
  #connect(given) {
    if (this.sfu.value) return this.sfu.value;
    const sfu = this.options.sfu(given, () => this.#lost());
    for (const [kind, track] of this.tracks) sfu.send(kind, track);
    sfu.mute(this.muted);
    sfu.update(this.people);
    this.sfu.value = sfu;
    return sfu;
  }

  /** @param {Parley.Sfu | null} given */
  #toSfu(given) {
    batch(() => {
      this.through.value = 'sfu';
      this.#connect(given).begin();
    });
    if (this.mesh.value) this.#watch(() => this.#settleAtSfu());
  }

  #toMesh() {
    if (!this.sfu.value) return;
    batch(() => {
      this.through.value = 'mesh';
      if (!this.mesh.value) {
        this.mesh.value = this.options.mesh();
        for (const [kind, track] of this.tracks) this.mesh.value.send(kind, track);
      }
      this.mesh.value.meet(this.people);
    });
    this.#watch(() => this.#settleInMesh());
  }

  /** @param {() => void} settle */
  #watch(settle) {
    this.stop();
    this.there.clear();
    this.deadline = this.options.clock.now() + DEADLINE_MS;
    this.stop = every(this.options.clock, LOOK_MS, settle);
  }

  /** The mesh goes on to whoever has not come to the media server, be it for the rest of the call. */
  #settleAtSfu() {
    const { sfu, mesh } = this;
    const late = this.options.clock.now() >= this.deadline;
    this.#keep((pid) => {
      const view = sfu.value?.views.value.get(pid);
      return !this.#settled(pid, Boolean(sfu.value?.sent && view?.state === 'connected' && (view.sound || late)));
    });
    if (mesh.value?.members.size === 0) { this.stop(); this.#endMesh(); }
  }

  #settleInMesh() {
    const late = this.options.clock.now() >= this.deadline;
    const others = this.people.filter((one) => one.pid !== this.options.me);
    const settled = others.map(({ pid }) => this.#settled(pid, this.mesh.value?.views.value.get(pid)?.state === 'connected'));
    if (late || settled.every(Boolean)) { this.stop(); this.#endSfu(); }
  }

  /** @param {string} pid @param {boolean} now whether they are at the new route */
  #settled(pid, now) {
    if (!now) this.there.delete(pid);
    else if (!this.there.has(pid)) this.there.set(pid, this.options.clock.now());
    return now && this.options.clock.now() - (this.there.get(pid) ?? Infinity) >= SETTLED_MS;
  }

  /** Ends the mesh to all others. @param {(pid: string) => boolean} wanted */
  #keep(wanted) {
    const { mesh } = this;
    mesh.value?.update(this.people.filter(({ pid }) => mesh.value?.members.has(pid) && wanted(pid)));
  }

  #lost() {
    const carried = this.through.value === 'sfu';
    this.#endSfu();
    if (carried) this.options.lost();
  }

  #endMesh() {
    this.mesh.value?.close();
    this.mesh.value = null;
  }

  #endSfu() {
    this.sfu.value?.close();
    this.sfu.value = null;
  }
}

/** The first, where it is up, with what it lacks from the second. @param {Parley.Voice.View | undefined} first @param {Parley.Voice.View | undefined} second @returns {Parley.Voice.View} */
function better(first, second) {
  if (!first || !second) return /** @type {Parley.Voice.View} */ (first ?? second);
  if (first.state !== 'connected' && second.state === 'connected') return second;
  if (first.state !== 'connected') return first;
  return { state: 'connected', sound: first.sound ?? second.sound, camera: first.camera ?? second.camera, screen: first.screen ?? second.screen };
}
