/**
 * What this person sends: microphone, camera, screen. The microphone is listened to here even
 * while it is muted, so that who speaks into it is told; what is sent is a copy that is silent then.
 */

import { SILENT, hear } from './speaking.js';
import { batch, signal } from '../../vendor/signals-core.js';

const LISTEN_MS = 100;

/** @typedef {Parley.Voice.Kind} Kind */

/**
 * @typedef {object} Options
 * @property {Pick<Parley.Voice.Devices, 'open' | 'openScreen' | 'listen'>} devices
 * @property {(kind: Kind, track: any) => void} give takes what is sent now, or null
 * @property {Parley.Clock} clock
 */

export class Media {
  /** @param {Options} options */
  constructor(options) {
    this.options = options;
    /** Own tracks, to be shown to oneself. */
    this.microphone = signal(/** @type {any} */ (null));
    this.camera = signal(/** @type {any} */ (null));
    this.screen = signal(/** @type {any} */ (null));
    this.level = signal(0);
    this.talking = signal(false);
    /** @type {{speaking: boolean, until: number}} */
    this.voice = SILENT;
    /** @type {any} */
    this.sent = null;
    /** @type {{level: () => number, stop: () => void} | null} */
    this.ear = null;
    /** @type {any} */
    this.timer = null;
    this.serial = 0;
  }

  /**
   * Opens a microphone; the one before goes on until this one is there.
   * @param {string} device
   * @throws {Parley.Voice.DeviceProblem}
   */
  async openMicrophone(device) {
    const serial = (this.serial += 1);
    const track = await this.options.devices.open('audio', device);
    if (serial !== this.serial) return track.stop(); // closed, or another was chosen, meanwhile
    this.#silence();
    this.sent = track.clone();
    this.ear = this.options.devices.listen(track);
    this.microphone.value = track;
    this.options.give('sound', this.sent);
    // Pulled out, or taken away by the browser: the others are not to be left in doubt.
    track.onended = () => this.closeMicrophone();
    this.#listen();
  }

  closeMicrophone() {
    this.serial += 1;
    if (!this.microphone.value) return;
    this.#silence();
    this.options.give('sound', null);
  }

  /** @param {string} device */
  async openCamera(device) {
    this.#show('camera', await this.options.devices.open('video', device), () => {});
  }

  /** @param {() => void} onEnded the browser's own button ended it */
  async openScreen(onEnded) {
    this.#show('screen', await this.options.devices.openScreen(), onEnded);
  }

  /** @param {'camera' | 'screen'} kind */
  close(kind) {
    if (!this[kind].value) return;
    this[kind].value.onended = null;
    this[kind].value.stop();
    this[kind].value = null;
    this.options.give(kind, null);
  }

  closeAll() {
    this.closeMicrophone();
    this.close('camera');
    this.close('screen');
  }

  /** @param {'camera' | 'screen'} kind @param {any} track @param {() => void} onEnded */
  #show(kind, track, onEnded) {
    this.close(kind);
    this[kind].value = track;
    track.onended = () => { this.close(kind); onEnded(); };
    this.options.give(kind, track);
  }

  #silence() {
    this.options.clock.clearTimeout(this.timer);
    if (this.microphone.value) this.microphone.value.onended = null;
    this.microphone.value?.stop();
    this.sent?.stop();
    this.ear?.stop();
    this.ear = this.sent = null;
    this.voice = SILENT;
    batch(() => { this.microphone.value = null; this.level.value = 0; this.talking.value = false; });
  }

  #listen() {
    this.timer = this.options.clock.setTimeout(() => {
      const level = this.ear?.level() ?? 0;
      this.voice = hear(this.voice, level, this.options.clock.now());
      batch(() => { this.level.value = level; this.talking.value = this.voice.speaking; });
      this.#listen();
    }, LISTEN_MS);
  }
}
