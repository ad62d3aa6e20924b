/** The neutral tree of `../markdown.js` as elements. Text becomes text nodes and nothing else. */

import { html } from './html.js';
import { parse } from '../markdown.js';

/** @type {WeakMap<object, {body: string, names: string[], tree: any}>} */
const cache = new WeakMap();

/**
 * @param {{owner: object, body: string, names: string[], me: string}} props `owner` is what the parsed text is kept for
 */
export function Markdown({ owner, body, names, me }) {
  const kept = cache.get(owner);
  if (kept && kept.body === body && kept.names === names) return kept.tree;
  const tree = html`<div class="markdown">${children(parse(body, names), `@${me}`.toLowerCase())}</div>`;
  cache.set(owner, { body, names, tree });
  return tree;
}

/** @param {Parley.MarkdownNode[]} nodes @param {string} me @returns {any[]} */
function children(nodes, me) {
  return nodes.map((node) => element(node, me));
}

/** @param {Parley.MarkdownNode} node @param {string} me @returns {any} */
function element(node, me) {
  const inside = () => children(node.children ?? [], me);
  switch (node.type) {
    case 'text': return node.text;
    case 'strong': return html`<strong>${inside()}</strong>`;
    case 'em': return html`<em>${inside()}</em>`;
    case 'del': return html`<del>${inside()}</del>`;
    case 'code': return html`<code>${node.text}</code>`;
    case 'br': return html`<br />`;
    case 'link': return html`<a href=${node.href} target="_blank" rel="noopener noreferrer nofollow">${inside()}</a>`;
    case 'mention': return html`<span class=${`mention ${node.text?.toLowerCase() === me ? 'mention-me' : ''}`}>${node.text}</span>`;
    case 'p': return html`<p>${inside()}</p>`;
    case 'heading': return html`<p class="markdown-heading"><strong>${inside()}</strong></p>`;
    case 'pre': return html`<pre tabindex="0"><code>${node.text}</code></pre>`;
    case 'quote': return html`<blockquote>${inside()}</blockquote>`;
    case 'hr': return html`<hr />`;
    case 'list': return node.ordered ? html`<ol start=${node.start}>${inside()}</ol>` : html`<ul>${inside()}</ul>`;
    case 'item': return item(node, inside());
    case 'table': return table(node, me);
    default: return node.text ?? '';
  }
}

/** @param {Parley.MarkdownNode} node @param {any[]} inside */
function item(node, inside) {
  if (node.checked === null) return html`<li>${inside}</li>`;
  const [sign, word] = node.checked ? ['☑', 'done'] : ['☐', 'open'];
  return html`<li class="is-task"><span role="img" aria-label=${word}>${sign}</span> ${inside}</li>`;
}

/** @param {Parley.MarkdownNode} node @param {string} me */
function table(node, me) {
  return html`<div class="markdown-table"><table>
    <thead><tr>${node.head?.map((cell) => html`<th>${children(cell, me)}</th>`)}</tr></thead>
    <tbody>${node.rows?.map((row) => html`<tr>${row.map((cell) => html`<td>${children(cell, me)}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}
