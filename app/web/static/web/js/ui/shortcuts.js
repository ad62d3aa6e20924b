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
    if (command && event.shiftKey && event.code === 'Space' && app.session.calls.room.place.value) {
      event.preventDefault();
      void ui.attempt(() => app.session.calls.mute(!app.session.calls.room.muted.value));
    } else if (command && !event.altKey && !event.shiftKey && event.key.toLowerCase() === 'k') {
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

/**
 * Push to talk, for those who have chosen it: heard while Space is held where it does nothing else.
 * @param {Parley.App} app
 */
export function pushToTalk({ session, ui }) {
  const { calls } = session;
  let held = false;
  const release = () => {
    if (!held) return;
    held = false;
    void ui.attempt(() => calls.mute(true));
  };
  document.addEventListener('keydown', (event) => {
    if (event.code !== 'Space' || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (!calls.pushToTalk.value || !calls.room.place.value || ui.dialog.value || isControl(event.target)) return;
    event.preventDefault();
    if (event.repeat || held || !calls.room.muted.value) return;
    held = true;
    void ui.attempt(() => calls.mute(false));
  });
  document.addEventListener('keyup', (event) => { if (event.code === 'Space') release(); });
  // Who goes elsewhere with the key held does not mean to be heard there.
  addEventListener('blur', release);
}

/** @param {EventTarget | null} target Space presses it */
function isControl(target) {
  return isField(target) || (target instanceof HTMLElement && target.closest('button, a, summary, label, dialog') !== null);
}

/** @param {EventTarget | null} target */
function isField(target) {
  return target instanceof HTMLElement && (target.matches('input, textarea, select') || target.isContentEditable);
}
