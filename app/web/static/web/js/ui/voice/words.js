/** What is said about calls, in a member's words. */

import { clock } from '../../time.js';

/** @type {Record<string, string>} what everyone has to know before and while being in the room */
export const NOTICES = {
  recording: 'This call is recorded.',
  monitoring: 'Compliance officers monitor this conversation: who is in a call, and when, is shown to them.',
  hold: 'This conversation is under a legal hold: who was in a call, and when, is kept.',
};

/** What is different once a call goes through the media server: said for as long as it does. */
export const AT_SERVER = 'This call goes through your organization’s media server, which could listen to it.';
export const AT_SERVER_MORE = 'Parley says who is in it, and checks that each device signed for joining. That what you hear comes from that device is the media server’s word.';

/** @type {Record<string, string>} */
export const GRADES = { good: 'good', fair: 'fair', poor: 'poor' };

/**
 * Why one is not in the call any more.
 * @param {Parley.Session} session
 * @param {Parley.Voice.End} end
 */
export function endWords(session, { reason, by, conversation }) {
  const known = session.store.conversation(conversation);
  const room = known ? `the call in ${session.store.title(known)}` : 'the call';
  const who = by ? session.store.name(by) : 'A host';
  switch (reason) {
    case 'kicked': return `${who} removed you from ${room}.`;
    case 'moved': return `You left ${room}: you went on to another one.`;
    case 'replaced': return `You joined ${room} from another window of this browser, so this one left it.`;
    case 'revoked': return `You have left ${room}: you are not in that conversation any more, or are signed out.`;
    case 'room_closed': return `${room[0]?.toUpperCase()}${room.slice(1)} has ended.`;
    case 'sfu_handover': return `${room[0]?.toUpperCase()}${room.slice(1)} has grown so large that it goes through your organization’s media server, and this browser cannot reach that. Try another network, then join again. If it stays so, tell your administrator.`;
    default: return `You were without a connection for too long, so you have left ${room}.`;
  }
}

/** @type {Record<string, string>} how somebody's stay ended, in the list of past calls */
export const REASONS = {
  timeout: 'lost the connection', kicked: 'was removed', moved: 'went to another call', replaced: 'went on in another window',
  revoked: 'left the conversation', sfu_handover: 'went on in a larger room',
};

/**
 * The truth while something is missing; '' when nothing is.
 * @param {{phase: string, unseated: number, others: number, heard: number, lease: number}} state
 */
export function troubleWords({ phase, unseated, others, heard, lease }) {
  if (phase !== 'reconnecting') return '';
  if (!unseated) return 'The others cannot be reached at the moment, and do not hear you. Parley is looking for another way.';
  const since = `No connection to the server since ${clock(unseated)}.`;
  if (others === 0) return `${since} Your place in the call is kept for about ${lease} seconds.`;
  if (heard > 0) return `${since} ${heard === others ? 'You still hear each other' : 'Some still hear you'}; your place in the call is kept for about ${lease} seconds.`;
  return `${since} The others do not hear you. You come back into the call as soon as there is one.`;
}

/** @param {Parley.Session} session @param {Parley.Voice.News} news */
export function newsWords(session, { kind, user, by, conversation, notice = [] }) {
  const name = session.store.name(user);
  const host = by ? session.store.name(by) : 'A host';
  const known = session.store.conversation(conversation);
  switch (kind) {
    case 'joined': return `${name} joined the call.`;
    case 'left': return `${name} left the call.`;
    case 'kicked': return `${host} removed ${name} from the call.`;
    case 'muted': return `${host} muted you.`;
    case 'moved': return `${host} moved you to the call in ${known ? session.store.title(known) : 'another conversation'}. You are muted.`;
    case 'sharing': return `${name} shares a screen.`;
    case 'server': return AT_SERVER;
    case 'mesh': return 'This call goes from device to device again.';
    case 'notice': return notice.map((one) => NOTICES[one] ?? '').join(' ');
  }
}

/** @param {string} from @param {string} to ISO 8601 @returns {string} `4 min`, `1 h 12 min` */
export function duration(from, to) {
  const seconds = Math.max(0, Math.round((Date.parse(to) - Date.parse(from)) / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
