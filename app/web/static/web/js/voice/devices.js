/** Microphones, loudspeakers, cameras: choosing, opening, and what to tell when one cannot. */

import { level } from './speaking.js';

const CHOSEN = 'parley:voice:';

/** A device could not be had; the message says what to do. */
export class DeviceProblem extends Error {
  /** @param {string} message @param {'refused' | 'none' | 'busy' | 'insecure' | 'cancelled'} kind */
  constructor(message, kind) {
    super(message);
    this.name = 'DeviceProblem';
    this.kind = kind;
  }
}

/** @type {Record<string, [string, string]>} */
const THINGS = { audio: ['microphone', 'Plug one in'], video: ['camera', 'Plug one in'], screen: ['screen', 'Choose one'] };

/**
 * @param {any} error of getUserMedia or getDisplayMedia (Media Capture and Streams, 10.2.1)
 * @param {'audio' | 'video' | 'screen'} what
 * @returns {DeviceProblem}
 */
export function problem(error, what) {
  const [thing, plug] = /** @type {[string, string]} */ (THINGS[what]);
  switch (error?.name) {
    case 'NotAllowedError': case 'SecurityError':
      if (what === 'screen') return new DeviceProblem('Nothing is shared: no screen or window was chosen, or the browser does not allow it.', 'cancelled');
      return new DeviceProblem(`The browser does not let Parley use your ${thing}. Allow it beside the address, in the site’s permissions, then try again.`, 'refused');
    case 'NotFoundError': case 'OverconstrainedError':
      return new DeviceProblem(`No ${thing} was found. ${plug}, then try again.`, 'none');
    case 'NotReadableError': case 'AbortError':
      return new DeviceProblem(`Your ${thing} does not start: another program may be using it. Close that program, then try again.`, 'busy');
    default:
      return new DeviceProblem(`Your ${thing} cannot be used in this browser.`, 'none');
  }
}

/** Whether this page may ask for devices at all: browsers give none to pages that came unencrypted. */
export function hasDevices() {
  return Boolean(globalThis.navigator?.mediaDevices && globalThis.crypto?.subtle && 'RTCPeerConnection' in globalThis);
}

export function insecure() {
  return new DeviceProblem(globalThis.isSecureContext === false
    ? 'Calls work on secure pages (https) only. Ask whoever runs Parley for the secure address.'
    : 'This browser cannot take part in calls. A newer one can.', 'insecure');
}

/**
 * @param {'audio' | 'video'} what
 * @param {string} [device] the chosen one; another is taken where it is gone
 * @returns {Promise<MediaStreamTrack>}
 * @throws {DeviceProblem}
 */
export async function open(what, device = '') {
  if (!hasDevices()) throw insecure();
  const wanted = {
    ...(device ? { deviceId: { ideal: device } } : {}),
    ...(what === 'audio' ? { echoCancellation: true, noiseSuppression: true, autoGainControl: true } : { width: { ideal: 1280 }, height: { ideal: 720 } }),
  };
  try {
    return firstTrack(await navigator.mediaDevices.getUserMedia({ [what]: wanted }));
  } catch (error) {
    throw problem(error, what);
  }
}

/** A screen or a window, as its owner chooses. @returns {Promise<MediaStreamTrack>} @throws {DeviceProblem} */
export async function openScreen() {
  if (!navigator.mediaDevices?.getDisplayMedia) throw new DeviceProblem('This browser cannot share a screen.', 'none');
  try {
    const track = firstTrack(await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { ideal: 15 } } }));
    track.contentHint = 'detail'; // letters stay sharp, movement may stutter
    return track;
  } catch (error) {
    throw problem(error, 'screen');
  }
}

/** @param {MediaStream} stream */
function firstTrack(stream) {
  const [track] = stream.getTracks();
  if (!track) throw new DOMException('', 'NotFoundError');
  return track;
}

/**
 * What there is, with names once a device may be used.
 * @returns {Promise<Record<'audioinput' | 'audiooutput' | 'videoinput', {id: string, name: string}[]>>}
 */
export async function list() {
  const found = { audioinput: /** @type {any[]} */ ([]), audiooutput: /** @type {any[]} */ ([]), videoinput: /** @type {any[]} */ ([]) };
  for (const { kind, deviceId, label } of await navigator.mediaDevices.enumerateDevices()) {
    if (deviceId) found[kind].push({ id: deviceId, name: label || `${found[kind].length + 1}` });
  }
  return found;
}

/** What a person chose on this device. @param {Parley.KeyValue} storage */
export function choices(storage) {
  return {
    /** @param {string} name */
    get: (name) => storage.getItem(CHOSEN + name) ?? '',
    /** @param {string} name @param {string} value */
    set: (name, value) => { if (value) storage.setItem(CHOSEN + name, value); else storage.removeItem(CHOSEN + name); },
  };
}

/**
 * Listens to a track without sending it anywhere.
 * @param {MediaStreamTrack} track
 * @returns {{level: () => number, stop: () => void}}
 */
export function listen(track) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return {
    level() {
      analyser.getFloatTimeDomainData(samples);
      return level(samples);
    },
    stop() { void context.close(); },
  };
}
