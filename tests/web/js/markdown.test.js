import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse, plainText, safeHref } from '../../../app/web/static/web/js/markdown.js';

const KNOWN = new Set(['text', 'strong', 'em', 'del', 'code', 'br', 'link', 'mention', 'p', 'pre', 'quote', 'heading', 'list', 'item', 'table', 'hr']);

function all(nodes) {
  return nodes.flatMap((node) => [node, ...all(node.children ?? []), ...(node.head ?? []).flatMap(all), ...(node.rows ?? []).flat().flatMap(all)]);
}
const types = (source, names) => all(parse(source, names)).map((node) => node.type);
const texts = (source) => all(parse(source)).map((node) => node.text ?? '').join('');

test('what people write most', () => {
  assert.deepEqual(parse('**bold** and _soft_ `code`'), [{ type: 'p', children: [
    { type: 'strong', children: [{ type: 'text', text: 'bold' }] }, { type: 'text', text: ' and ' },
    { type: 'em', children: [{ type: 'text', text: 'soft' }] }, { type: 'text', text: ' ' }, { type: 'code', text: 'code' }] }]);
  assert.deepEqual(types('one\ntwo'), ['p', 'text', 'br', 'text']);
  assert.deepEqual(types('- a\n- b'), ['list', 'item', 'text', 'item', 'text']);
  assert.deepEqual(types('> quoted'), ['quote', 'p', 'text']);
  assert.deepEqual(parse('```js\nlet a;\n```'), [{ type: 'pre', text: 'let a;', lang: 'js' }]);
  assert.deepEqual(types('|a|b|\n|-|-|\n|1|2|').filter((type) => type === 'text').length, 4);
});

test('raw HTML is text', () => {
  for (const source of ['<script>alert(1)</script>', 'hi <b>there</b>', '<img src=x onerror=alert(1)>', '<a href="javascript:x">y</a>', '<!-- c -->', '<svg/onload=alert(1)>', '<div>\n\n**x**']) {
    assert.ok(types(source).every((type) => KNOWN.has(type)), source);
    assert.ok(texts(source).includes('<'), `shown as it was written: ${source}`);
  }
});

test('a link leads to http, https or mailto, or is no link', () => {
  for (const href of ['javascript:alert(1)', 'JaVaScRiPt:alert(1)', ' javascript:alert(1)', 'java\nscript:alert(1)', 'data:text/html,x', 'vbscript:x', 'file:///etc/passwd', 'blob:x', '/relative', '//other.example']) {
    assert.equal(safeHref(href), null, href);
    assert.ok(!types(`[x](${href})`).includes('link'), href);
  }
  assert.ok(!types('[x](<java\tscript:alert(1)>)').includes('link'));
  assert.ok(!types('<javascript:alert(1)>').includes('link'));
  assert.deepEqual(['http://a.example/', 'https://a.example/?b=1', 'mailto:a@example.org'].map(safeHref), ['http://a.example/', 'https://a.example/?b=1', 'mailto:a@example.org']);
  for (const source of ['see https://a.example now', '(https://a.example/b_c?d=1)', 'ask a.b@example.org.', 'www.example.org']) assert.ok(types(source).includes('link'), source);
});

test('an image is a link to it: nothing is loaded from elsewhere by reading', () => {
  assert.deepEqual(types('![scan](https://a.example/x.png)'), ['p', 'link', 'text']);
});

test('only known people are mentioned, whole names, anywhere but in code', () => {
  const names = ['Ann', 'Ann Lee', 'Tomás Rey', 'C++ (bot)'];
  const mentions = (source) => all(parse(source, names)).filter((node) => node.type === 'mention').map((node) => node.text);
  assert.deepEqual(mentions('@Ann Lee, @tomás rey and @Ann: ask @Bob or @Annabel'), ['@Ann Lee', '@tomás rey', '@Ann']);
  assert.deepEqual(mentions('@C++ (bot) run'), ['@C++ (bot)']);
  assert.deepEqual(mentions('`@Ann`'), []);
  assert.deepEqual(mentions('**@Ann**'), ['@Ann']);
});

test('nesting has an end', () => {
  for (const source of ['> '.repeat(400) + 'x', '- '.repeat(300) + 'x', '*a **b '.repeat(200), '['.repeat(500)]) {
    assert.ok(types(source).every((type) => KNOWN.has(type)));
  }
});

test('hostile input is read in good time', () => {
  for (const source of ['*'.repeat(16_000), '`'.repeat(16_000), '[a]('.repeat(4_000), '_a'.repeat(8_000), '|'.repeat(16_000), '<'.repeat(16_000), '\\'.repeat(16_000), '~'.repeat(16_000), '![['.repeat(5_000), `${'a'.repeat(15_000)}@`, `${'a.'.repeat(7_500)}@`, `${'a/'.repeat(7_500)}@`, `${'%'.repeat(15_000)}@`, `${'a!'.repeat(7_500)}@`, `${'a_'.repeat(450)}${'b'.repeat(14_000)}@`, '> '.repeat(8_000), '- '.repeat(8_000), '1. '.repeat(5_000), '-\n'.repeat(8_000), '_a'.repeat(499), '**a'.repeat(330), '[a]('.repeat(499), '`` '.repeat(490), '@Alice '.repeat(2_000), 'https://a.b '.repeat(1_300), '&amp;'.repeat(3_000), '| a '.repeat(4_000), '|a|b|\n|-|-|\n' + '|1|2|\n'.repeat(2_000), '    x\n'.repeat(2_500), '```'.repeat(5_000), '```\n'.repeat(3_999), `${' '.repeat(15_000)}x`, '\n'.repeat(15_000) + 'x', 'a\n===\n'.repeat(2_000), 'a@b.'.repeat(4_000), 'www.'.repeat(4_000), '!'.repeat(16_000), '# '.repeat(8_000)]) {
    const began = performance.now();
    parse(source, ['Alice']);
    assert.ok(performance.now() - began < 1_000, `${source.slice(0, 8)}… took ${Math.round(performance.now() - began)} ms`);
  }
});

test('plain text for notices', () => {
  assert.equal(plainText(parse('**Bed 12** is _free_\n\n- now')), 'Bed 12 is free now');
});

test('a long text with code in it is still Markdown', () => {
  const code = '```\n' + 'a_b[c] * d;\n'.repeat(900) + '```';
  assert.deepEqual(types(`**Look:**\n\n${code}`), ['p', 'strong', 'text', 'pre']);
});
