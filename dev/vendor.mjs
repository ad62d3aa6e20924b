// Rebuilds app/web/static/web/vendor/ and icons.svg from the packages that
// package-lock.json pins: `npm ci && npm run vendor`. The results are committed,
// so that running Parley needs no npm.
//
// The changes made to each file are here and nowhere else: relative specifiers
// instead of bare ones, `.js` instead of `.mjs`, no source map comment. WhiteNoise's
// rewriting of module imports wants a `;` after each import and no `export` before
// an `import … from`: `refuseTraps` fails the build if a new version breaks that.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const root = new URL('..', import.meta.url);
const vendor = new URL('app/web/static/web/vendor/', root);
const modules = [
  { package: 'preact', from: 'dist/preact.module.js', to: 'preact.js' },
  { package: 'preact', from: 'hooks/dist/hooks.module.js', to: 'preact-hooks.js' },
  { package: '@preact/signals-core', from: 'dist/signals-core.module.js', to: 'signals-core.js' },
  { package: '@preact/signals', from: 'dist/signals.module.js', to: 'signals.js' },
  { package: 'htm', from: 'dist/htm.module.js', to: 'htm.js' },
  { package: 'marked', from: 'lib/marked.esm.js', to: 'marked.js' },
  // No module but a script, as that one is minified: half as large. It is loaded when it is needed.
  { package: 'livekit-client', from: 'dist/livekit-client.umd.js', to: 'livekit-client.js', script: true },
];
const specifiers = {
  preact: './preact.js',
  'preact/hooks': './preact-hooks.js',
  '@preact/signals-core': './signals-core.js',
};
// What livekit-client's script has in it, beside the Apache-2.0 of its own.
const bundled = {
  'livekit-client': ['@livekit/mutex', '@livekit/protocol', 'events', 'jose', 'loglevel', 'machina', 'sdp', 'sdp-transform', 'tslib', 'webrtc-adapter'],
};
const names = ['LICENSE', 'LICENSE.md', 'LICENSE-MIT', 'LICENSE.txt'];

/** @param {string} text @param {string} name */
function refuseTraps(text, name) {
  const imports = [...text.matchAll(/\bfrom\s*["'][^"']+["'](.?)/g)];
  for (const found of imports) {
    if (found[1] !== ';') throw new Error(`${name}: an import does not end with a semicolon`);
    if (!/["']\.\//.test(found[0])) throw new Error(`${name}: ${found[0]} is not relative`);
    const before = text.slice(0, found.index);
    if (/\bexport\s*[{*]/.test(before.replace(/export\s*\{[^}]*\}\s*$/, ''))) {
      throw new Error(`${name}: an export stands before an import`);
    }
  }
}

function version(name) {
  return JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, root), 'utf8')).version;
}

function copyModules() {
  const rows = [];
  for (const { package: name, from, to, script } of modules) {
    let text = readFileSync(new URL(`node_modules/${name}/${from}`, root), 'utf8');
    text = text.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, '\n');
    for (const [bare, relative] of Object.entries(specifiers)) {
      text = text.replaceAll(`from"${bare}"`, `from"${relative}"`);
    }
    if (!script) refuseTraps(text, to);
    writeFileSync(new URL(to, vendor), text);
    rows.push([to, name, version(name), createHash('sha256').update(text).digest('hex')]);
  }
  return rows;
}

/** @param {string} name @returns {string} */
function licenceOf(name) {
  const folder = new URL(`node_modules/${name}/`, root);
  const file = names.find((one) => existsSync(new URL(one, folder)));
  if (!file) throw new Error(`${name} has no licence file`);
  return readFileSync(new URL(file, folder), 'utf8');
}

function writeLicences() {
  for (const name of new Set([...modules.map((one) => one.package), 'lucide-static'])) {
    const parts = (bundled[name] ?? []).map((part) => `\n\n---- ${part} ${version(part)}, which is part of it ----\n\n${licenceOf(part)}`);
    writeFileSync(new URL(`LICENSE-${name.replace('@', '').replace('/', '-')}.txt`, vendor), [licenceOf(name), ...parts].join(''));
  }
}

/** One sprite with the icons that icons.txt names. */
function buildSprite() {
  const names = readFileSync(new URL('app/web/static/web/icons.txt', root), 'utf8').split('\n').filter(Boolean);
  const symbols = names.map((name) => {
    const svg = readFileSync(new URL(`node_modules/lucide-static/icons/${name}.svg`, root), 'utf8');
    const inner = svg.replace(/^[\s\S]*?<svg[^>]*>/, '').replace(/<\/svg>\s*$/, '').replace(/\s*\n\s*/g, '');
    return `<symbol id="${name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round">${inner}</symbol>`;
  });
  const text = [
    `<!-- Lucide ${version('lucide-static')}, ISC: vendor/LICENSE-lucide-static.txt. Made by dev/vendor.mjs. -->`,
    '<svg xmlns="http://www.w3.org/2000/svg">', ...symbols, '</svg>', '',
  ].join('\n');
  writeFileSync(new URL('app/web/static/web/icons.svg', root), text);
  return ['../icons.svg', 'lucide-static', version('lucide-static'), createHash('sha256').update(text).digest('hex')];
}

mkdirSync(vendor, { recursive: true });
writeLicences();
const rows = [...copyModules(), buildSprite()];
writeFileSync(new URL('VENDORED.md', vendor), [
  '# Vendored, from npm', '',
  'Made by `npm ci && npm run vendor` (dev/vendor.mjs, which says what is changed).', '',
  '| file | package | version | sha256 |', '|---|---|---|---|',
  ...rows.map((row) => `| ${row.slice(0, 3).join(' | ')} | \`${row[3]}\` |`), '',
].join('\n'));
