/**
 * Reactions. Many machines have no emoji font, so each has a name: for the ear always,
 * for the eye where the glyph cannot be drawn.
 */

/** @type {[string, string][]} */
export const CHOICES = [
  ['👍', 'thumbs up'], ['👎', 'thumbs down'], ['✅', 'done'], ['👀', 'looking'], ['🙏', 'thanks'], ['❤️', 'heart'],
  ['😂', 'laughing'], ['🙂', 'smile'], ['😮', 'surprised'], ['😢', 'sad'], ['🎉', 'celebration'], ['👏', 'applause'],
  ['🔥', 'fire'], ['💯', 'hundred'], ['🚀', 'rocket'], ['⭐', 'star'], ['❓', 'question'], ['⚠️', 'careful'],
  ['⏳', 'waiting'], ['📌', 'pinned'], ['☕', 'coffee'], ['🐛', 'bug'], ['👋', 'wave'], ['🤝', 'agreed'],
];

const names = new Map(CHOICES);

/** @param {string} emoji */
export function emojiName(emoji) {
  return names.get(emoji) ?? `reaction ${emoji}`;
}

/** @type {boolean | null} */
let drawable = null;

/** Whether this machine draws emoji in colour: a glyph that stays in the ink's red is a box. */
export function canDrawEmoji() {
  if (drawable !== null) return drawable;
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = 24;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) return (drawable = true);
  context.font = `18px ${getComputedStyle(document.documentElement).getPropertyValue('--font-emoji')}`;
  context.fillStyle = '#f00';
  context.fillText('👍', 0, 18);
  const { data } = context.getImageData(0, 0, 24, 24);
  drawable = false;
  for (let at = 0; at < data.length; at += 4) {
    if ((data[at + 1] ?? 0) > 40 && (data[at + 3] ?? 0) > 40) drawable = true;
  }
  return drawable;
}

/** @param {string} emoji what to show of it on this machine */
export function emojiText(emoji) {
  return canDrawEmoji() ? emoji : (names.get(emoji) ?? emoji);
}
