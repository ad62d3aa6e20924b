// Rebuilds app/web/static/web/vendor/ and icons.svg from the packages that
// package-lock.json pins: `npm ci && npm run vendor`. The results are committed,
// so that running Parley needs no npm.
//
// The changes made to each file are here and nowhere else: relative specifiers
// instead of bare ones, `.js` instead of `.mjs`, no source map comment. WhiteNoise's
// rewriting of module imports wants a `;` after each import and no `export` before
// an `import … from`: `refuseTraps` fails the build if a new version breaks that.

import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const root = new URL('..', import.meta.url);
const vendor = new URL('app/web/static/web/vendor/', root);
const modules = [
  { package: 'preact', from: 'dist/preact.module.js', to: 'preact.js' },
  { package: 'preact', from: 'hooks/dist/hooks.module.js', to: 'preact-hooks.js' },
  { package: '@preact/signals-core', from: 'dist/signals-core.module.js', to: 'signals-core.js' },
  { package: '@preact/signals', from: 'dist/signals.module.js', to: 'signals.js' },
  { package: 'htm', from: 'dist/htm.module.js', to: 'htm.js' },
  { package: 'marked', from: 'lib/marked.esm.js', to: 'marked.js' },
];
const specifiers = {
  preact: './preact.js',
  'preact/hooks': './preact-hooks.js',
  '@preact/signals-core': './signals-core.js',
};
const licences = {
  preact: 'LICENSE', '@preact/signals-core': 'LICENSE', '@preact/signals': 'LICENSE',
  htm: 'LICENSE', marked: ['LICENSE', 'LICENSE.md'], 'lucide-static': 'LICENSE',
};

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
  for (const { package: name, from, to } of modules) {
    let text = readFileSync(new URL(`node_modules/${name}/${from}`, root), 'utf8');
    text = text.replace(/\n?\/\/# sourceMappingURL=.*\s*$/, '\n');
    for (const [bare, relative] of Object.entries(specifiers)) {
      text = text.replaceAll(`from"${bare}"`, `from"${relative}"`);
    }
    refuseTraps(text, to);
    writeFileSync(new URL(to, vendor), text);
    rows.push([to, name, version(name), createHash('sha256').update(text).digest('hex')]);
  }
  return rows;
}

function copyLicences() {
  for (const [name, files] of Object.entries(licences)) {
    const target = new URL(`LICENSE-${name.replace('@', '').replace('/', '-')}.txt`, vendor);
    const candidates = [files].flat();
    const found = candidates.find((file) => {
      try {
        copyFileSync(new URL(`node_modules/${name}/${file}`, root), target);
        return true;
      } catch (error) {
        if (error.code === 'ENOENT') return false;
        throw error;
      }
    });
    if (!found) throw new Error(`${name} has no licence file`);
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
copyLicences();
const rows = [...copyModules(), buildSprite()];
writeFileSync(new URL('VENDORED.md', vendor), [
  '# Vendored, from npm', '',
  'Made by `npm ci && npm run vendor` (dev/vendor.mjs, which says what is changed).', '',
  '| file | package | version | sha256 |', '|---|---|---|---|',
  ...rows.map((row) => `| ${row.slice(0, 3).join(' | ')} | \`${row[3]}\` |`), '',
].join('\n'));
