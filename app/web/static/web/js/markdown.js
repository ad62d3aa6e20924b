/**
 * Markdown to a neutral tree of known nodes. Nothing of what a person wrote becomes markup:
 * raw HTML is text, an image is a link to it, a link leads to http, https or mailto or is no
 * link, and a kind of token that is not listed here is shown as its source.
 */

import { Marked } from '../vendor/marked.js';

/**
 * @typedef {object} Node
 * @property {string} type text | strong | em | del | code | br | link | mention | p | pre | quote | heading
 *   | list | item | table | hr
 * @property {string} [text]
 * @property {string} [href]
 * @property {string} [lang]
 * @property {boolean} [ordered]
 * @property {number} [start]
 * @property {boolean | null} [checked]
 * @property {Node[]} [children]
 * @property {Node[][]} [head]
 * @property {Node[][][]} [rows]
 */

const SAFE = new Set(['http:', 'https:', 'mailto:']);
// The lexer looks for an address from every letter of a long word again: what is only a word is taken whole.
const WORD = /^(?:[\p{L}\p{N}.#$%&'+/=?{|}-]|!(?!\[))+/u;
const marked = new Marked({
  gfm: true,
  breaks: true,
  tokenizer: {
    inlineText(source) {
      const word = WORD.exec(source)?.[0];
      return word ? { type: 'text', raw: word, text: word, escaped: false } : false;
    },
  },
});
const DEEPEST = 12;
const MOST_MARKS = 1_000;
// A list in a list in a list …, all begun in one line: the lexer goes down with each.
const DEEP_LINE = /^(?:[ \t]*(?:[-+*>]|\d{1,9}[.)])[ \t]){20}/m;

/**
 * @param {string} source
 * @param {string[]} names people who can be mentioned, as in `@Name`
 * @returns {Node[]}
 */
export function parse(source, names = []) {
  if (isCostly(source)) return [paragraph(source)];
  const mention = mentionPattern(names);
  return blocks(marked.lexer(source), mention, 0);
}

/**
 * The lexer’s work grows with the square of the marks in a paragraph: 8,000 of them would hold up
 * the page of everyone in the conversation for seconds. Nobody writes 1,000 outside of code.
 * @param {string} source
 */
function isCostly(source) {
  if (DEEP_LINE.test(source)) return true;
  if (source.length < MOST_MARKS) return false;
  const prose = source.replace(/^(```|~~~)[^]*?^\1/gm, '');
  const marks = prose.match(/[*_~`[\]<>\\]|^[ \t]*(?:[-+]|\d+[.)])[ \t]/gm);
  return (marks?.length ?? 0) > MOST_MARKS;
}

/**
 * @param {string} href
 * @returns {string | null} the address when it is one that may be followed
 */
export function safeHref(href) {
  try {
    const url = new URL(href);
    return SAFE.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}

/**
 * A line of plain text for notices and the live region.
 * @param {Node[]} nodes
 * @returns {string}
 */
export function plainText(nodes) {
  return nodes.map((node) => node.text ?? plainText(node.children ?? [])).join(' ').replace(/\s+/g, ' ').trim();
}

/**
 * @param {any[]} tokens
 * @param {RegExp | null} mention
 * @param {number} depth
 * @returns {Node[]}
 */
function blocks(tokens, mention, depth) {
  return tokens.flatMap((token) => block(token, mention, depth));
}

/**
 * @param {any} token
 * @param {RegExp | null} mention
 * @param {number} depth
 * @returns {Node[]}
 */
function block(token, mention, depth) {
  if (depth > DEEPEST) return [{ type: 'text', text: token.raw }];
  const inside = () => inline(token.tokens ?? [], mention, depth + 1);
  switch (token.type) {
    case 'space': case 'def': return token.type === 'def' ? [paragraph(token.raw)] : [];
    case 'paragraph': return [{ type: 'p', children: inside() }];
    case 'text': return token.tokens ? inside() : [{ type: 'text', text: token.text }];
    case 'heading': return [{ type: 'heading', children: inside() }];
    case 'code': return [{ type: 'pre', text: token.text, lang: String(token.lang ?? '').split(/\s/)[0] ?? '' }];
    case 'blockquote': return [{ type: 'quote', children: blocks(token.tokens ?? [], mention, depth + 1) }];
    case 'hr': return [{ type: 'hr' }];
    case 'list': return [list(token, mention, depth)];
    case 'table': return [table(token, mention, depth)];
    case 'html': return [paragraph(token.raw)];
    default: return [paragraph(token.raw ?? '')];
  }
}

/** @param {string} text @returns {Node} */
function paragraph(text) {
  return { type: 'p', children: [{ type: 'text', text: text.replace(/\n+$/, '') }] };
}

/**
 * @param {any} token
 * @param {RegExp | null} mention
 * @param {number} depth
 * @returns {Node}
 */
function list(token, mention, depth) {
  const children = token.items.map((/** @type {any} */ item) => ({
    type: 'item',
    checked: item.task ? Boolean(item.checked) : null,
    children: blocks(item.tokens.filter((/** @type {any} */ one) => one.type !== 'checkbox'), mention, depth + 1),
  }));
  return { type: 'list', ordered: Boolean(token.ordered), start: Number(token.start) || 1, children };
}

/**
 * @param {any} token
 * @param {RegExp | null} mention
 * @param {number} depth
 * @returns {Node}
 */
function table(token, mention, depth) {
  const cell = (/** @type {any} */ one) => inline(one.tokens ?? [], mention, depth + 1);
  return {
    type: 'table',
    head: token.header.map(cell),
    rows: token.rows.map((/** @type {any[]} */ row) => row.map(cell)),
  };
}

/**
 * @param {any[]} tokens
 * @param {RegExp | null} mention
 * @param {number} depth
 * @returns {Node[]}
 */
function inline(tokens, mention, depth) {
  return tokens.flatMap((token) => span(token, mention, depth));
}

/**
 * @param {any} token
 * @param {RegExp | null} mention
 * @param {number} depth
 * @returns {Node[]}
 */
function span(token, mention, depth) {
  if (depth > DEEPEST) return [{ type: 'text', text: token.raw }];
  const inside = () => inline(token.tokens ?? [], mention, depth + 1);
  switch (token.type) {
    case 'text': return token.tokens ? inside() : words(token.text, mention);
    case 'escape': return [{ type: 'text', text: token.text }];
    case 'strong': case 'em': case 'del': return [{ type: token.type, children: inside() }];
    case 'codespan': return [{ type: 'code', text: token.text }];
    case 'br': return [{ type: 'br' }];
    case 'link': return link(token.href, inside(), token.raw);
    case 'image': return link(token.href, [{ type: 'text', text: token.text || token.href }], token.raw);
    case 'checkbox': return [];
    default: return [{ type: 'text', text: token.raw ?? '' }];
  }
}

/**
 * @param {string} href
 * @param {Node[]} children
 * @param {string} raw
 * @returns {Node[]}
 */
function link(href, children, raw) {
  const safe = safeHref(href);
  return safe ? [{ type: 'link', href: safe, children }] : [{ type: 'text', text: raw }];
}

/**
 * @param {string} text
 * @param {RegExp | null} mention
 * @returns {Node[]}
 */
function words(text, mention) {
  if (!mention || !text.includes('@')) return [{ type: 'text', text }];
  return text.split(mention).filter(Boolean).map((part) => (
    part.startsWith('@') && part.length > 1 && matches(mention, part)
      ? { type: 'mention', text: part } : { type: 'text', text: part }
  ));
}

/** @param {RegExp} mention @param {string} part */
function matches(mention, part) {
  return new RegExp(`^${mention.source}$`, 'iu').test(part);
}

/** @param {string[]} names */
function mentionPattern(names) {
  const known = names.filter(Boolean).sort((one, other) => other.length - one.length);
  if (known.length === 0) return null;
  const escaped = known.map((name) => name.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&'));
  return new RegExp(`(@(?:${escaped.join('|')})(?![\\p{L}\\p{N}]))`, 'iu');
}
