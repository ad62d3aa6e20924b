/** A message's receipt: where it stands in the log, and "check it yourself". */

import { Icon, IconButton, grouped, html, useApp, useEffect, useState } from './html.js';
import { PaneCard, PaneProblem, PaneWaiting } from './pane-card.js';
import { loadReceipt } from '../commands.js';
import { short, verify } from '../receipt.js';
import { utc } from '../time.js';

const ASK_AGAIN_MS = 1_500;
const PATIENCE = 20;

/** @param {{id: string}} props */
export function ReceiptCard({ id }) {
  const { receipt, problem, load } = useReceipt(id);
  return html`<${PaneCard} title="Receipt of this message">
    ${problem && html`<${PaneProblem} problem=${problem} retry=${load} />`}
    ${!receipt && !problem && html`<${PaneWaiting} />`}
    ${receipt && html`<${Facts} receipt=${receipt} />
      <${Check} key=${receipt.checkpoint ?? ''} receipt=${receipt} again=${load} />`}
  <//>`;
}

/** @param {string} id asks again until the log has it: that takes about a second */
function useReceipt(id) {
  const { session } = useApp();
  const [receipt, setReceipt] = useState(/** @type {Parley.Receipt | null} */ (null));
  const [problem, setProblem] = useState('');
  const [asked, setAsked] = useState(0);
  const load = () => setAsked((count) => count + 1);
  useEffect(() => {
    let gone = false;
    setProblem('');
    loadReceipt(session, id).then((found) => {
      if (gone) return;
      setReceipt(found);
      if (found.checkpoint === null && asked < PATIENCE) setTimeout(() => { if (!gone) load(); }, ASK_AGAIN_MS);
    }, (error) => { if (!gone) setProblem(error.message); });
    return () => { gone = true; };
  }, [id, asked]);
  return { receipt, problem, load };
}

/** @param {{receipt: Parley.Receipt}} props */
function Facts({ receipt }) {
  const { index, tree_size: size } = receipt;
  return html`<dl class="facts receipt-facts">
    <dt>Written</dt><dd class="mono">${utc(receipt.written_at)}</dd>
    ${receipt.revision > 1 && html`<dt>Version</dt><dd class="mono">${receipt.revision}</dd>`}
    <dt>Log entry</dt><dd class="mono">${index === null ? 'in about a second' : `${grouped(index)}${size === null ? '' : ` of ${grouped(size)}`}`}</dd>
    <dt>Leaf</dt><dd class="mono" title=${receipt.leaf_hash}>${short(receipt.leaf_hash)}</dd>
    <dt>Checkpoint</dt><dd class="mono">${size === null ? 'not yet' : grouped(size)}</dd>
  </dl>`;
}

/** @param {{receipt: Parley.Receipt, again: () => void}} props */
function Check({ receipt, again }) {
  const { ui } = useApp();
  const [steps, setSteps] = useState(/** @type {Parley.Step[] | null} */ (null));
  const copy = () => ui.attempt(async () => {
    await navigator.clipboard.writeText(JSON.stringify(receipt, null, 2));
    ui.say('The receipt is copied.');
  });
  const run = () => ui.attempt(async () => {
    if (!globalThis.crypto?.subtle) throw new Error('This browser checks hashes on secure pages (https) only.');
    setSteps(await verify(receipt));
  });
  return html`<div class="row receipt-actions">
      <button type="button" class="button" onClick=${() => void run()}><${Icon} name="shield-check" /> Check it yourself</button>
      <${IconButton} icon="copy" label="Copy the receipt" onClick=${() => void copy()} />
    </div>
    <div role="status">${steps && html`<${Steps} steps=${steps} again=${again} waiting=${receipt.checkpoint === null} />`}</div>`;
}

/** @param {{steps: Parley.Step[], again: () => void, waiting: boolean}} props */
function Steps({ steps, again, waiting }) {
  const failed = steps.some((step) => step.state === 'failed');
  const open = steps.some((step) => step.state === 'unknown');
  const icons = { passed: 'circle-check', failed: 'circle-x', unknown: 'circle-dashed' };
  const words = { passed: 'holds', failed: 'does not hold', unknown: 'not checked' };
  return html`<ol class="check-steps">${steps.map((step) => html`<li key=${step.name} class=${`check-${step.state}`}>
      <${Icon} name=${icons[step.state]} /><div><strong>${step.name}</strong><span class="hidden-visually">: ${words[step.state]}</span><p class="small soft">${step.detail}</p></div></li>`)}</ol>
    ${failed && html`<p class="notice notice-bad small"><${Icon} name="shield-alert" /> <span>This receipt does not hold. Copy it and show it to your compliance officer.</span></p>`}
    ${!failed && !open && html`<p class="notice notice-accent small"><${Icon} name="shield-check" /> <span>Computed in this browser: the message is in the log.</span></p>`}
    ${!failed && open && waiting && html`<button type="button" class="button-link small" onClick=${again}>Load the receipt again</button>`}`;
}
