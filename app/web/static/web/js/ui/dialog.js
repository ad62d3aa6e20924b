/** A modal dialog: the element does focus, Esc and the backdrop. */

import { IconButton, html, useLayoutEffect, useRef } from './html.js';

/**
 * @param {{title: string, close: () => void, children: any, foot?: any, onSubmit?: () => void, class?: string, bare?: boolean}} props
 */
export function Dialog({ title, close, children, foot, onSubmit, class: extra = '', bare = false }) {
  const element = useRef(/** @type {HTMLDialogElement | null} */ (null));
  // Before the next key arrives: what is typed after Ctrl+K belongs to the dialog.
  useLayoutEffect(() => {
    const dialog = element.current;
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    dialog?.showModal();
    const first = dialog?.querySelector('[data-first]') ?? dialog?.querySelector('.dialog-body :is(input, select, textarea, button)');
    if (first instanceof HTMLElement) first.focus();
    return () => { if (before?.isConnected) before.focus(); };
  }, []);
  const outside = (/** @type {MouseEvent} */ event) => { if (event.target === element.current) close(); };
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    onSubmit?.();
  };
  return html`<dialog class=${`dialog ${extra}`} ref=${element} aria-label=${title} onClose=${close} onPointerDown=${outside}>
    <form onSubmit=${submit}>
      ${!bare && html`<div class="dialog-head"><h2>${title}</h2><${IconButton} icon="x" label="Close" onClick=${close} /></div>`}
      <div class="dialog-body">${children}</div>
      ${foot && html`<div class="dialog-foot">${foot}</div>`}
    </form>
  </dialog>`;
}

/** @param {{ui: Parley.Interface, name: string, danger?: boolean, busy?: boolean, disabled?: boolean}} props */
export function Actions({ ui, name, danger = false, busy = false, disabled = false }) {
  return html`<button type="button" class="button" onClick=${() => { ui.dialog.value = null; }}>Cancel</button>
    <button class=${`button ${danger ? 'button-danger' : 'button-primary'}`} disabled=${busy || disabled}>${name}</button>`;
}
