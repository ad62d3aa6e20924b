/** What the interface itself remembers: which pane, which dialog, where each timeline stood. */

import { newId } from '../ids.js';
import { signal } from '../../vendor/signals-core.js';

/**
 * @typedef {{view: 'people'} | {view: 'thread' | 'receipt' | 'history', message: string}} Detail
 * @typedef {{name: 'jump' | 'create' | 'direct' | 'browse' | 'shortcuts' | 'signout'}
 *   | {name: 'search', query?: string}
 *   | {name: 'add-people' | 'rename' | 'leave', conversation: string}
 *   | {name: 'call', conversation: string} | {name: 'move-call', participant: Parley.Participant}
 *   | {name: 'delete', message: Parley.Message}} Dialog
 * @typedef {{atBottom: boolean, id: string, delta: number}} Place
 */

export class Interface {
  /** @param {Storage} storage */
  constructor(storage) {
    this.storage = storage;
    this.detail = signal(/** @type {Detail} */ ({ view: 'people' }));
    this.wide = matchMedia('(min-width: 1100px)');
    /** The right pane: beside the conversation when there is room, else over it. */
    this.paneOpen = signal(this.wide.matches && storage.getItem('parley:pane') !== 'closed');
    /** On a phone: one of the panes. */
    this.view = signal(/** @type {'list' | 'conversation'} */ ('list'));
    this.dialog = signal(/** @type {Dialog | null} */ (null));
    this.editing = signal(/** @type {string | null} */ (null));
    this.highlighted = signal(/** @type {string | null} */ (null));
    this.toast = signal(/** @type {{id: string, text: string, bad: boolean} | null} */ (null));
    this.focused = signal(document.hasFocus() && !document.hidden);
    /** @type {Map<string, Place>} */
    this.places = new Map();
  }

  /** @param {Detail} detail */
  showDetail(detail) {
    this.detail.value = detail;
    this.paneOpen.value = true;
  }

  closeDetail() {
    if (this.detail.value.view !== 'people') {
      this.detail.value = { view: 'people' };
      if (!this.wide.matches) this.paneOpen.value = false;
    } else this.togglePane();
  }

  togglePane() {
    this.paneOpen.value = !this.paneOpen.value;
    if (this.wide.matches) this.storage.setItem('parley:pane', this.paneOpen.value ? 'open' : 'closed');
  }

  /** @param {string} text @param {boolean} bad */
  say(text, bad = false) {
    const toast = { id: newId(), text, bad };
    this.toast.value = toast;
    setTimeout(() => { if (this.toast.value === toast) this.toast.value = null; }, bad ? 8000 : 3000);
  }

  /**
   * Runs what a person asked for; what goes wrong is said to them.
   * @param {() => Promise<unknown>} task
   * @returns {Promise<boolean>} whether it went well
   */
  async attempt(task) {
    try {
      await task();
      return true;
    } catch (error) {
      this.say(/** @type {Error} */ (error).message, true);
      return false;
    }
  }
}
