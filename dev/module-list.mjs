// Writes app/web/templates/web/_modules.html: a `modulepreload` for every module that the
// conversation page imports, so that the browser asks for all of them at once instead of
// level by level. tests/web/js/modules.test.js fails when it is out of date.

import { readFileSync, writeFileSync } from 'node:fs';
import { posix } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = new URL('../app/web/', import.meta.url);

/** @param {string} start below static/ @returns {string[]} it and what it imports, in the order of loading */
export function modulesOf(start) {
  const found = new Set();
  const visit = (/** @type {string} */ path) => {
    if (found.has(path)) return;
    found.add(path);
    const text = readFileSync(new URL(`static/${path}`, root), 'utf8');
    for (const [, specifier] of text.matchAll(/^(?:import|export)\b[^;]*?from\s*["'](\.[^"']+)["'];/gm)) {
      visit(posix.join(posix.dirname(path), specifier));
    }
    for (const [, specifier] of text.matchAll(/^import["']?[^;]*?from"(\.[^"']+)"|\}from"(\.[^"']+)"/g)) {
      if (specifier) visit(posix.join(posix.dirname(path), specifier));
    }
  };
  visit(start);
  return [...found];
}

/** @returns {string} the template's text */
export function preloads() {
  const links = modulesOf('web/js/conversation.js').slice(1).map((path) => `  <link rel="modulepreload" href="{% static '${path}' %}">`);
  return `{% load static %}{# Made by dev/module-list.mjs: npm run modules #}\n${links.join('\n')}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL('templates/web/_modules.html', root), preloads());
}
