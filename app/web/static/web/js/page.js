/**
 * Small behaviours that the template pages ask for by attribute. No page depends on
 * them to be usable: without this file, forms still post and times are in UTC.
 */

import { setTheme } from './theme.js';
import { localTime } from './time.js';

/** @param {Event} event */
function clicked(event) {
  const target = event.target instanceof Element ? event.target : null;
  const opener = target?.closest('[data-open-dialog]');
  if (opener instanceof HTMLElement) {
    const dialog = document.getElementById(opener.dataset.openDialog ?? '');
    if (dialog instanceof HTMLDialogElement) dialog.showModal();
  }
  if (target?.closest('[data-close-dialog]')) target.closest('dialog')?.close();
  const copier = target?.closest('[data-copy]');
  if (copier instanceof HTMLElement) void copy(copier);
}

/** @param {HTMLElement} button */
async function copy(button) {
  await navigator.clipboard.writeText(button.dataset.copy ?? '');
  const before = button.textContent;
  button.textContent = 'Copied';
  setTimeout(() => { button.textContent = before; }, 1500);
}

/** @param {SubmitEvent} event */
function submitted(event) {
  const form = event.target;
  if (!(form instanceof HTMLFormElement)) return;
  const asked = event.submitter?.dataset.confirm ?? form.dataset.confirm;
  if (asked && !confirm(asked)) {
    event.preventDefault();
    return;
  }
  if ('once' in form.dataset && event.submitter instanceof HTMLButtonElement) {
    const button = event.submitter;
    setTimeout(() => { button.disabled = true; });
  }
}

/** @param {Event} event */
function changed(event) {
  const target = event.target;
  if (target instanceof HTMLSelectElement && 'themeSwitch' in target.dataset) setTheme(target.value);
  else if (target instanceof HTMLElement) {
    const form = target.closest('form[data-autosubmit]');
    if (form instanceof HTMLFormElement) form.requestSubmit();
  }
}

function start() {
  document.addEventListener('click', clicked);
  document.addEventListener('submit', submitted);
  document.addEventListener('change', changed);
  for (const element of document.querySelectorAll('time[data-local]')) {
    if (element instanceof HTMLTimeElement && element.dateTime) {
      element.title = element.textContent?.trim() ?? '';
      element.textContent = localTime(element.dateTime);
    }
  }
  for (const element of document.querySelectorAll('select[data-theme-switch]')) {
    if (element instanceof HTMLSelectElement) element.value = document.documentElement.dataset.theme ?? 'auto';
  }
}

start();
