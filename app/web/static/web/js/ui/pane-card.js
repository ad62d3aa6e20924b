/** A card of the right pane, and its states. */

import { Icon, IconButton, html, useApp } from './html.js';

/** @param {{title: string, children: any}} props a card with a title that takes the focus, and a way out */
export function PaneCard({ title, children }) {
  const { ui } = useApp();
  return html`<section class="card pane-card">
    <div class="card-head"><h2 tabindex="-1">${title}</h2>
      <${IconButton} icon="x" label=${`Close: ${title}`} class="button-small" onClick=${() => ui.closeDetail()} /></div>
    ${children}
  </section>`;
}

/** @param {{problem: string, retry: () => void}} props */
export function PaneProblem({ problem, retry }) {
  return html`<div class="stack stack-tight" role="alert"><p class="small"><${Icon} name="circle-alert" /> ${problem}</p>
    <div><button type="button" class="button button-small" onClick=${retry}>Try again</button></div></div>`;
}

export function PaneWaiting() {
  return html`<div role="status" aria-label="Loading">${[84, 60, 70].map((width) => html`<div class=${`skeleton skeleton-line skeleton-${width}`}></div>`)}</div>`;
}
