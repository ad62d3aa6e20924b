/**
 * The trail's times: UTC stands in the page, the reader's own time is put beside it.
 */

import { clock, dayKey, localTime } from './time.js';

/** @param {string} iso the local clock, with its day where that is another than in UTC */
function here(iso) {
  const utcDay = dayKey(new Date(iso).getTime() + new Date(iso).getTimezoneOffset() * 60_000);
  return dayKey(iso) === utcDay ? clock(iso) : localTime(iso);
}

for (const element of document.querySelectorAll('time[data-clock]')) {
  const local = element.nextElementSibling;
  if (!(element instanceof HTMLTimeElement) || !local || !new Date().getTimezoneOffset()) continue;
  local.textContent = here(element.dateTime);
  element.title = `${localTime(element.dateTime)} here`;
}
