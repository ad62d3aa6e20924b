import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { preloads } from '../../../dev/module-list.mjs';

const web = new URL('../../../app/web/', import.meta.url);
const read = (path) => readFileSync(new URL(path, web), 'utf8');
const scripts = (folder) => readdirSync(new URL(folder, web), { recursive: true }).filter((name) => String(name).endsWith('.js')).map((name) => `${folder}${name}`);
const tokens = Object.fromEntries([...read('static/web/css/tokens.css').matchAll(/--([\w-]+): ([^;]+);/g)].map(([, name, value]) => [name, value]));

/** WCAG 2.2, relative luminance. */
function luminance(colour) {
  const [red, green, blue] = colour.match(/[0-9a-f]{2}/gi).map((pair) => Number.parseInt(pair, 16) / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (light + 0.05) / (dark + 0.05);
}

const colour = (name, theme) => /light-dark\((#\w{6}), (#\w{6})\)/.exec(tokens[name])?.[theme === 'light' ? 1 : 2] ?? tokens[name];

for (const theme of ['light', 'dark']) {
  test(`${theme}: every text colour keeps 4.5:1 on every ground that it stands on`, () => {
    const pairs = [
      ...['ink', 'ink-soft', 'accent', 'warn', 'bad'].flatMap((text) => ['paper', 'panel', 'raised', 'hover'].map((ground) => [text, ground])),
      ['ink', 'accent-soft'], ['ink', 'warn-soft'], ['ink', 'bad-soft'], ['warn', 'warn-soft'], ['bad', 'bad-soft'],
      ['accent-ink', 'accent'], ['accent-ink', 'accent-strong'], ['bad-fill-ink', 'bad-fill'], ['ink-soft', 'accent-soft'],
    ];
    const low = pairs.map(([text, ground]) => [`${text} on ${ground}`, contrast(colour(text, theme), colour(ground, theme))]).filter(([, ratio]) => ratio < 4.5);
    assert.deepEqual(low, []);
  });

  test(`${theme}: a field's line keeps 3:1`, () => {
    for (const ground of ['paper', 'panel', 'raised']) assert.ok(contrast(colour('line-strong', theme), colour(ground, theme)) >= 3, ground);
  });
}

test('white letters keep 4.5:1 on every face', () => {
  for (let face = 0; face < 8; face += 1) assert.ok(contrast('#ffffff', tokens[`face-${face}`]) >= 4.5, `face ${face}`);
});

test('the list of modules to load early is that of the imports', () => {
  assert.equal(read('templates/web/_modules.html'), preloads(), 'npm run modules');
});

test('every vendored file is the one that VENDORED.md names', () => {
  const rows = [...read('static/web/vendor/VENDORED.md').matchAll(/^\| (\S+) \| (\S+) \| (\S+) \| `(\w{64})` \|$/gm)];
  assert.ok(rows.length >= 7);
  for (const [, file, , , hash] of rows) {
    assert.equal(createHash('sha256').update(read(`static/web/vendor/${file}`)).digest('hex'), hash, file);
  }
  const named = new Set(rows.map(([, file]) => file));
  for (const path of scripts('static/web/vendor/')) assert.ok(named.has(path.split('/').at(-1)), path);
});

test('every icon that is asked for is in the sprite, and every one there is named somewhere', () => {
  const sprite = new Set([...read('static/web/icons.svg').matchAll(/<symbol id="([\w-]+)"/g)].map(([, name]) => name));
  const sources = [...scripts('static/web/js/'), ...readdirSync(web, { recursive: true }).filter((name) => /\.(html|py)$/.test(String(name)))].map(read).join('\n');
  const asked = new Set([...sources.matchAll(/(?:_icon\.html" with name=|<\$\{Icon\} name=|icon=)"([\w-]+)"/g)].map(([, name]) => name));
  assert.deepEqual([...asked].filter((name) => !sprite.has(name)), []);
  assert.deepEqual([...sprite].filter((name) => !new RegExp(`["']${name}["']`).test(sources)), []);
});

test('no module makes markup from text, evaluates text, or hashes into a circle', () => {
  for (const path of scripts('static/web/js/')) {
    const text = read(path);
    assert.doesNotMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySetInnerHTML|\beval\(|new Function/, path);
    assert.doesNotMatch(text, /import\(/, `${path}: counts as an import when file names are hashed`);
    for (const [line] of text.matchAll(/^import\b.*$/gm)) assert.match(line, /from '\.{1,2}\/[\w./-]+\.js';$/, `${path}: ${line}`);
  }
});

test('no module imports itself by way of others', () => {
  const imports = (path) => [...read(path).matchAll(/from '(\.[^']+)'/g)].map(([, to]) => new URL(to, new URL(path, web)).href.slice(web.href.length));
  const visit = (path, above) => {
    assert.ok(!above.includes(path), [...above, path].join(' > '));
    if (path.includes('/js/')) for (const next of imports(path)) visit(next, [...above, path]);
  };
  visit('static/web/js/conversation.js', []);
  visit('static/web/js/page.js', []);
});

test('no template has a style or a script of its own', () => {
  for (const name of readdirSync(new URL('templates/', web), { recursive: true }).filter((one) => String(one).endsWith('.html'))) {
    assert.doesNotMatch(read(`templates/${name}`), /\sstyle=|<style|<script(?![^>]*\bsrc=)|\son\w+=/, String(name));
  }
});
