/** Small things that a text field for messages can do. */

/** As high as its text, up to what its style allows. @param {HTMLTextAreaElement} area */
export function grow(area) {
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight}px`;
}

/**
 * Puts marks around the selection, or takes them away again.
 * @param {HTMLTextAreaElement} area
 * @param {string} mark
 * @returns {string} the text afterwards
 */
export function wrapSelection(area, mark) {
  const { selectionStart: start, selectionEnd: end, value } = area;
  const chosen = value.slice(start, end);
  const marked = value.slice(start - mark.length, start) === mark && value.slice(end, end + mark.length) === mark;
  const from = marked ? start - mark.length : start;
  const to = marked ? end + mark.length : end;
  const text = marked ? chosen : `${mark}${chosen}${mark}`;
  area.setRangeText(text, from, to, 'select');
  const inner = marked ? 0 : mark.length;
  area.setSelectionRange(from + inner, from + inner + chosen.length);
  area.focus();
  return area.value;
}

/**
 * The `@…` that is being written at the cursor.
 * @param {string} text
 * @param {number} cursor
 * @returns {{from: number, query: string} | null}
 */
export function mentionAt(text, cursor) {
  const match = /(^|[\s(])@([\p{L}\p{N}][\p{L}\p{N} .'-]{0,40}|)$/u.exec(text.slice(0, cursor));
  if (!match) return null;
  const query = match[2] ?? '';
  return { from: cursor - query.length - 1, query };
}
