/** Shortcuts that work everywhere on the page. */

import { goToNeighbour } from './navigation.js';

/**
 * @param {Parley.App} app
 * @returns {(event: KeyboardEvent) => void}
 */
export function shortcuts(app) {
  const { ui } = app;
  return (event) => {
    if (event.defaultPrevented) return;
    const command = event.ctrlKey || event.metaKey;
    if (command && !event.altKey && !event.shiftKey && event.key.toLowerCase() === 'k') {
      event.preventDefault();
      ui.dialog.value = ui.dialog.value?.name === 'jump' ? null : { name: 'jump' };
    } else if (ui.dialog.value) {
      return;
    } else if (event.altKey && !command && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
      event.preventDefault();
      goToNeighbour(app, event.key === 'ArrowUp' ? -1 : 1);
    } else if (event.key === '/' && !command && !event.altKey && !isField(event.target)) {
      event.preventDefault();
      ui.dialog.value = { name: 'search' };
    } else if (event.key === '?' && !command && !isField(event.target)) {
      event.preventDefault();
      ui.dialog.value = { name: 'shortcuts' };
    } else if (event.key === 'Escape') {
      escape(app);
    }
  };
}

/** @param {Parley.App} app what is open closes, the inner before the outer */
function escape({ ui }) {
  if (ui.editing.value) ui.editing.value = null;
  else if (ui.detail.value.view !== 'people' || (ui.paneOpen.value && !ui.wide.matches)) ui.closeDetail();
  else return;
  /** @type {HTMLElement | null} */ (document.querySelector('.composer textarea'))?.focus();
}

/** @param {EventTarget | null} target */
function isField(target) {
  return target instanceof HTMLElement && (target.matches('input, textarea, select') || target.isContentEditable);
}
