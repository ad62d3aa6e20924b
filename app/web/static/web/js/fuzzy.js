/**
 * Fuzzy matching for "Jump to…": letters in order, better at starts of words and together.
 */

/** @param {string} text accents and case do not matter when jumping */
function folded(text) {
  return text.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
}

/**
 * @param {string} query
 * @param {string} text
 * @returns {number | null} higher is better; null when it does not match
 */
export function score(query, text) {
  const wanted = folded(query).replace(/\s+/g, '');
  const where = folded(text);
  if (!wanted) return 0;
  const whole = where.indexOf(wanted);
  if (whole === 0) return 1000 - where.length;
  if (whole > 0) return (/[^\p{L}\p{N}]/u.test(where[whole - 1] ?? '') ? 800 : 500) - where.length;
  return scattered(wanted, where);
}

/** @param {string} wanted @param {string} where */
function scattered(wanted, where) {
  let points = 0;
  let at = -1;
  for (const letter of wanted) {
    const next = where.indexOf(letter, at + 1);
    if (next < 0) return null;
    const starts = next === 0 || /[^\p{L}\p{N}]/u.test(where[next - 1] ?? '');
    points += (starts ? 12 : 0) + (next === at + 1 ? 8 : 0) - Math.min(next - at - 1, 6);
    at = next;
  }
  return points - where.length / 10;
}

/**
 * @template T
 * @param {string} query
 * @param {T[]} items
 * @param {(item: T) => string} text
 * @param {number} limit
 * @returns {T[]} best first; in their own order for an empty query
 */
export function best(query, items, text, limit = 12) {
  if (!query.trim()) return items.slice(0, limit);
  return items
    .map((item, index) => ({ item, index, points: score(query, text(item)) }))
    .filter((one) => one.points !== null)
    .sort((one, other) => Number(other.points) - Number(one.points) || one.index - other.index)
    .slice(0, limit)
    .map((one) => one.item);
}
