/** A button that opens a short list of actions; Esc, choosing, or a click elsewhere closes it. */

import { Icon, html, useLayoutEffect, useRef, useState } from './html.js';

/**
 * @param {{label: string, icon?: string, class?: string, align?: 'start' | 'end', above?: boolean, button?: any, children: any}} props
 */
export function Menu({ label, icon = 'ellipsis', class: extra = 'button button-quiet button-icon', align = 'end', above = false, button, children }) {
  const [open, setOpen] = useState(false);
  const root = useRef(/** @type {HTMLDivElement | null} */ (null));
  useLayoutEffect(() => {
    if (!open) return undefined;
    const close = (/** @type {Event} */ event) => {
      if (event.target instanceof Node && !root.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener('pointerdown', close);
    /** @type {HTMLElement | null | undefined} */ (root.current?.querySelector('.menu :is(a, button)'))?.focus();
    return () => document.removeEventListener('pointerdown', close);
  }, [open]);
  const shut = () => {
    setOpen(false);
    root.current?.querySelector('button')?.focus();
  };
  return html`<div class="menu-root" ref=${root} onKeyDown=${(/** @type {KeyboardEvent} */ event) => keys(event, open, shut, root.current)}>
    <button type="button" class=${extra} aria-haspopup="true" aria-expanded=${open} aria-label=${button ? undefined : label} title=${button ? undefined : label}
      onClick=${() => setOpen(!open)}>${button ?? html`<${Icon} name=${icon} />`}</button>
    ${open && html`<div class=${`menu menu-${align} ${above ? 'menu-above' : ''}`} role="group" aria-label=${label}
      onClick=${(/** @type {Event} */ event) => { if (event.target instanceof Element && event.target.closest('a, [data-closes]')) shut(); }}>${children}</div>`}
  </div>`;
}

/**
 * @param {KeyboardEvent} event
 * @param {boolean} open
 * @param {() => void} shut
 * @param {HTMLElement | null} root
 */
function keys(event, open, shut, root) {
  if (!open || !root) return;
  if (event.key === 'Escape') {
    event.stopPropagation();
    shut();
  }
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
  event.preventDefault();
  const items = /** @type {HTMLElement[]} */ ([...root.querySelectorAll('.menu :is(a, button)')]);
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  items[(at + (event.key === 'ArrowDown' ? 1 : -1) + items.length) % items.length]?.focus();
}

/** @param {{icon: string, onClick: () => void, children: any, danger?: boolean}} props */
export function MenuItem({ icon, onClick, children, danger = false }) {
  return html`<button type="button" data-closes class=${danger ? 'menu-danger' : ''} onClick=${onClick}><${Icon} name=${icon} /> ${children}</button>`;
}
