/** Whether somebody speaks, from the level of their sound: 0 is silence, 1 the loudest. */

const BEGINS = 0.02;
const ENDS = 0.01;
const PAUSE_MS = 600;

/**
 * The next state of one person. A pause between words is not the end of speaking.
 * @param {{speaking: boolean, until: number}} state
 * @param {number} level
 * @param {number} now milliseconds
 */
export function hear(state, level, now) {
  if (level >= (state.speaking ? ENDS : BEGINS)) return { speaking: true, until: now + PAUSE_MS };
  return state.speaking && now >= state.until ? { speaking: false, until: 0 } : state;
}

export const SILENT = Object.freeze({ speaking: false, until: 0 });

/** The effective level of samples from -1 to 1. @param {Float32Array} samples */
export function level(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  return samples.length === 0 ? 0 : Math.sqrt(sum / samples.length);
}

/** How loud a receiver's sound is now, 0 to 1. @param {any} receiver an RTCRtpReceiver */
export function loudness(receiver) {
  return Math.max(0, ...(receiver?.getSynchronizationSources?.() ?? []).map((/** @type {any} */ source) => source.audioLevel ?? 0));
}

/** What a meter shows of a level, 0 to 1: hearing is logarithmic, from -60 dB on. @param {number} value */
export function meter(value) {
  return value <= 0.001 ? 0 : Math.min(1, 1 + Math.log10(value) / 3);
}
