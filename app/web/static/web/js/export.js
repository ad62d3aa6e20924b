/**
 * Follows an export that is being built: the bar, its numbers, and a reload when the state
 * changes. Without this file the page reloads itself.
 */

const EVERY = 1000;

/** @typedef {{state: string, stage: string, done: number, total: number, percent: number}} Export */

/** As EXPORT stages are worded by the server. @type {Record<string, string>} */
const STAGES = {
  '': 'Waiting for a worker',
  sealing: 'Waiting until the log has sealed the approval',
  reading: 'Reading the log',
  formatting: 'Writing the tables and pages',
  logging: 'Waiting until the log holds the manifest',
  checking: 'Checking the package',
};

/** @param {number} number */
function spaced(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** @param {HTMLElement} section @param {Export} found */
function show(section, found) {
  const bar = section.querySelector('progress');
  if (bar) {
    if (found.total) bar.value = found.percent;
    else bar.removeAttribute('value');
  }
  const number = section.querySelector('[data-progress]');
  if (number) number.textContent = found.total ? `${spaced(found.done)} of ${spaced(found.total)}` : '';
  const stage = section.querySelector('[data-stage]');
  const words = STAGES[found.stage] ?? found.stage;
  if (stage && stage.textContent !== words) stage.textContent = words;
}

/** @param {HTMLElement} section */
async function follow(section) {
  for (;;) {
    await new Promise((resolve) => { setTimeout(resolve, EVERY); });
    if (document.hidden) continue;
    try {
      const answer = await fetch(`/api/compliance/exports/${section.dataset.export}`, { headers: { Accept: 'application/json' } });
      if (answer.status === 401) break;
      if (!answer.ok) continue;
      const found = /** @type {Export} */ (await answer.json());
      if (!['approved', 'building'].includes(found.state)) break;
      show(section, found);
    } catch {
      // Offline for a moment: the next round asks again.
    }
  }
  location.reload();
}

const section = document.querySelector('[data-export]');
if (section instanceof HTMLElement) void follow(section);
