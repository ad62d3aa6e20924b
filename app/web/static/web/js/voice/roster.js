/** Who is in a room, from a snapshot and the events of its stream. An event twice changes nothing. */

/** @typedef {Map<string, Parley.Participant>} Roster by pid, in the order of joining */

/** @param {Parley.Participant[]} participants @returns {Roster} */
export function roster(participants) {
  return new Map(participants.map((one) => [one.pid, one]));
}

/**
 * @param {Roster} before is not changed
 * @param {{t: string, d: any}} event
 * @returns {Roster} the same one when nothing changed
 */
export function applied(before, { t, d }) {
  switch (t) {
    case 'voice.joined': return before.has(d.participant.pid) ? before : new Map(before).set(d.participant.pid, d.participant);
    case 'voice.resumed': return changed(before, d.pid, { gen: d.gen, fingerprint: d.fingerprint, signature: d.signature });
    case 'voice.changed': return changed(before, d.pid, { muted: d.muted, muted_by: d.muted_by, screen: d.screen, video: d.video });
    case 'voice.left': {
      if (!before.has(d.pid)) return before;
      const rest = new Map(before);
      rest.delete(d.pid);
      return rest;
    }
    default: return before;
  }
}

/** @param {Roster} before @param {string} pid @param {Partial<Parley.Participant>} change */
function changed(before, pid, change) {
  const known = before.get(pid);
  return known ? new Map(before).set(pid, { ...known, ...change }) : before;
}
