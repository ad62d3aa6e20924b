/** What every component needs: htm bound to Preact, and the smallest pieces. */

import { Component, createContext, h, render } from '../../vendor/preact.js';
import { useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } from '../../vendor/preact-hooks.js';
import { signal, useSignal } from '../../vendor/signals.js';
import htm from '../../vendor/htm.js';
import { face, initials } from '../store.js';

export const html = htm.bind(h);
export { Component, render, signal, useEffect, useLayoutEffect, useMemo, useRef, useSignal, useState };

export const AppContext = createContext(/** @type {Parley.App} */ (/** @type {unknown} */ (null)));

/** @returns {Parley.App} */
export function useApp() {
  return useContext(AppContext);
}

const icons = globalThis.document?.documentElement.dataset.icons ?? '';

/** @param {{name: string}} props */
export function Icon({ name }) {
  return html`<svg class="icon" aria-hidden="true" focusable="false"><use href=${`${icons}#${name}`}></use></svg>`;
}

/** @param {{id: string, name: string, small?: boolean}} props */
export function Avatar({ id, name, small = false }) {
  return html`<span class=${`avatar face-${face(id)} ${small ? 'avatar-small' : ''}`} aria-hidden="true">${initials(name)}</span>`;
}

/**
 * A button of one icon; its label is its name for those who do not see it.
 * @param {{icon: string, label: string, onClick: (event: MouseEvent) => void, class?: string, pressed?: boolean, keys?: string, disabled?: boolean}} props
 */
export function IconButton({ icon, label, onClick, class: extra = '', pressed, keys, disabled = false }) {
  return html`<button type="button" class=${`button button-quiet button-icon ${extra}`} aria-label=${label} disabled=${disabled}
    title=${keys ? `${label} (${keys})` : label} aria-pressed=${pressed} onClick=${onClick}><${Icon} name=${icon} /></button>`;
}

/**
 * Renders again only when a prop is another one: a timeline has many rows and few changes.
 * @param {(props: any) => any} component
 */
export function memo(component) {
  return class extends Component {
    /** @param {any} next @override */
    shouldComponentUpdate(next) {
      /** @type {any} */
      const now = this.props;
      return Object.keys({ ...now, ...next }).some((key) => now[key] !== next[key]);
    }

    /** @param {any} props @override */
    render(props) {
      return h(component, props);
    }
  };
}

/** @param {number} number `48 211`, with narrow spaces */
export function grouped(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, '\u202f');
}

/** @param {number} count @param {string} one @param {string} many */
export function plural(count, one, many) {
  return `${grouped(count)} ${count === 1 ? one : many}`;
}
