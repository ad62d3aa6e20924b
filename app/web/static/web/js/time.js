/**
 * Times as people read them: local on the page, UTC in receipts.
 * Everything takes an ISO 8601 string as the API gives it, or milliseconds.
 */

const language = 'en-GB';
const clockFormat = new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit' });
const fullFormat = new Intl.DateTimeFormat(language, { dateStyle: 'medium', timeStyle: 'short' });
const longFormat = new Intl.DateTimeFormat(language, { dateStyle: 'full', timeStyle: 'medium' });
const dayFormat = new Intl.DateTimeFormat(language, { weekday: 'long', day: 'numeric', month: 'long' });
const yearFormat = new Intl.DateTimeFormat(language, { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' });
const DAY = 86_400_000;

/** @typedef {string | number} When */

/** @param {When} when `08:02` */
export function clock(when) {
  return clockFormat.format(new Date(when));
}

/** @param {When} when `21 Nov 2026, 08:02` */
export function localTime(when) {
  return fullFormat.format(new Date(when));
}

/** @param {When} when for a tooltip: `Saturday 21 November 2026 at 08:02:14` */
export function longTime(when) {
  return longFormat.format(new Date(when));
}

/** @param {When} when a key that is equal for two times of the same local day */
export function dayKey(when) {
  const date = new Date(when);
  return `${date.getFullYear()}-${date.getMonth() + 1}-${date.getDate()}`;
}

/**
 * @param {When} when
 * @param {number} now milliseconds
 * @returns {string} `Today`, `Yesterday`, `Monday 16 November`, with the year when it is another one
 */
export function dayName(when, now = Date.now()) {
  if (dayKey(when) === dayKey(now)) return 'Today';
  const yesterday = new Date(now);
  yesterday.setDate(yesterday.getDate() - 1);
  if (dayKey(when) === dayKey(yesterday.getTime())) return 'Yesterday';
  const sameYear = new Date(when).getFullYear() === new Date(now).getFullYear();
  return (sameYear ? dayFormat : yearFormat).format(new Date(when));
}

/**
 * @param {When} when
 * @param {number} now milliseconds
 * @returns {string} `08:21` today, else with the day
 */
export function shortTime(when, now = Date.now()) {
  if (dayKey(when) === dayKey(now)) return clock(when);
  const age = now - new Date(when).getTime();
  return age < 2 * DAY ? `${dayName(when, now).toLowerCase()} ${clock(when)}` : localTime(when);
}

/**
 * The moment in UTC with the server's own precision, for receipts.
 * @param {string} iso
 */
export function utc(iso) {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(?:Z|\+00:00)$/.exec(iso);
  if (match) return `${match[1]} ${match[2]}${match[3] ?? ''} UTC`;
  return `${new Date(iso).toISOString().replace('T', ' ').replace('Z', '')} UTC`;
}
