/**
 * The trail's times: UTC stands in the page, the reader's own time is put beside it.
 * And its place: beside the table, opening an entry does not move what is under the pointer.
 */

import { clock, dayKey, localTime } from './time.js';

/** @param {string} iso the local clock, with its day where that is another than in UTC */
function here(iso) {
  const utcDay = dayKey(new Date(iso).getTime() + new Date(iso).getTimezoneOffset() * 60_000);
  return dayKey(iso) === utcDay ? clock(iso) : localTime(iso);
}

const KEPT = 'trail-place';
const beside = matchMedia('(min-width: 1001px)');

document.addEventListener('click', (event) => {
  const link = event.target instanceof Element && event.target.closest('a.row-link');
  if (link && beside.matches) sessionStorage.setItem(KEPT, String(scrollY));
});

const kept = sessionStorage.getItem(KEPT);
sessionStorage.removeItem(KEPT);
if (kept !== null && beside.matches && document.getElementById('entry')) {
  history.scrollRestoration = 'manual';
  scrollTo({ top: Number(kept), behavior: 'instant' });
}

for (const element of document.querySelectorAll('time[data-clock]')) {
  const local = element.nextElementSibling;
  if (!(element instanceof HTMLTimeElement) || !local || !new Date().getTimezoneOffset()) continue;
  local.textContent = here(element.dateTime);
  element.title = `${localTime(element.dateTime)} here`;
}
