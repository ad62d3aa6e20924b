/**
 * How a connection is, from two looks at `getStats()` (WebRTC Statistics): loss as a fraction
 * since the look before, jitter and round trip in milliseconds, and the kind of its way.
 */

/**
 * @typedef {'host' | 'srflx' | 'prflx' | 'relay'} Candidate
 * @typedef {{received: number, lost: number, candidate: Candidate | null, jitter: number, rtt: number, sent: number}} Look
 * @typedef {{candidate: Candidate, loss: number, jitter_ms: number, rtt_ms: number}} Measured
 * @typedef {'good' | 'fair' | 'poor'} Grade
 */

// Where talking becomes tiring and where it fails: ITU-T G.114 for delay (one way 150 and 400 ms),
// G.113 for Opus' tolerance of loss with concealment.
const FAIR = { loss: 0.02, rtt_ms: 250, jitter_ms: 30 };
const POOR = { loss: 0.08, rtt_ms: 500, jitter_ms: 80 };

/**
 * @param {Iterable<any>} stats the values of an RTCStatsReport
 * @returns {Look}
 */
export function look(stats) {
  const all = new Map([...stats].map((one) => [one.id, one]));
  const rows = [...all.values()];
  const sound = rows.find((one) => one.type === 'inbound-rtp' && one.kind === 'audio');
  const heard = rows.find((one) => one.type === 'remote-inbound-rtp' && one.kind === 'audio');
  const out = rows.find((one) => one.type === 'outbound-rtp' && one.kind === 'audio');
  const pair = selected(rows, all);
  const ends = [all.get(pair?.localCandidateId), all.get(pair?.remoteCandidateId)].map((one) => one?.candidateType);
  return {
    received: sound?.packetsReceived ?? 0,
    lost: Math.max(0, sound?.packetsLost ?? 0), // negative where duplicates came
    sent: out?.packetsSent ?? 0,
    // At whichever end the relay is, what is said goes through it.
    candidate: ends.includes('relay') ? 'relay' : ends[0] ?? null,
    jitter: (sound?.jitter ?? 0) * 1000,
    rtt: (pair?.currentRoundTripTime ?? heard?.roundTripTime ?? 0) * 1000,
  };
}

/** @param {any[]} rows @param {Map<string, any>} all Firefox marks the pair, others name it in the transport */
function selected(rows, all) {
  const named = rows.find((one) => one.type === 'transport' && one.selectedCandidatePairId);
  return all.get(named?.selectedCandidatePairId) ?? rows.find((one) => one.type === 'candidate-pair' && (one.selected || (one.nominated && one.state === 'succeeded')));
}

/**
 * @param {Look | null} before
 * @param {Look} now
 * @returns {Measured | null} null while there is no way to the peer
 */
export function measure(before, now) {
  if (!now.candidate) return null;
  const received = Math.max(0, now.received - (before?.received ?? 0));
  const lost = Math.max(0, now.lost - (before?.lost ?? 0));
  return {
    candidate: now.candidate,
    loss: received + lost === 0 ? 0 : lost / (received + lost),
    jitter_ms: within(now.jitter), rtt_ms: within(now.rtt),
  };
}

/** @param {number} ms as the protocol has it */
function within(ms) {
  return Math.min(600_000, Math.max(0, Math.round(ms * 10) / 10));
}

/** @param {Measured} measured @returns {Grade} */
export function grade(measured) {
  /** @param {typeof FAIR} limit */
  const beyond = (limit) => measured.loss > limit.loss || measured.rtt_ms > limit.rtt_ms || measured.jitter_ms > limit.jitter_ms;
  return beyond(POOR) ? 'poor' : beyond(FAIR) ? 'fair' : 'good';
}

/** @param {Iterable<Grade>} grades @returns {Grade} the worst of them */
export function worst(grades) {
  const all = [...grades];
  return all.includes('poor') ? 'poor' : all.includes('fair') ? 'fair' : 'good';
}
