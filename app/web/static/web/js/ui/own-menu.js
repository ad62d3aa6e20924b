/** My name, and what I may open: by role. The server decides again on every page. */

import { Avatar, Icon, html, useApp, useState } from './html.js';
import { Menu, MenuItem } from './menu.js';
import { setTheme } from '../theme.js';

/** @type {Record<string, [string, string, string][]>} */
const PAGES = {
  officer: [['/trail', 'scroll-text', 'Trail'], ['/exports', 'package', 'Exports']],
  administrator: [['/people', 'users', 'People'], ['/invitations', 'mail-plus', 'Invitations']],
};

/** @type {Record<string, string>} */
const ROLES = { member: 'Member', officer: 'Compliance officer', administrator: 'Administrator' };

export function OwnMenu() {
  const { session, ui } = useApp();
  const { me } = session;
  const name = session.store.name(me.id);
  const button = html`<${Avatar} id=${me.id} name=${name} /><span class="own-name"><span class="truncate">${name}</span>
    <span class="small soft truncate">${ROLES[me.role] ?? me.role}</span></span><${Icon} name="ellipsis" />`;
  return html`<div class="sidebar-foot">
    <${Menu} label="Your menu" above align="start" class="own-button" button=${button}>
      ${(PAGES[me.role] ?? []).map(([href, icon, label]) => html`<a href=${href}><${Icon} name=${icon} /> ${label}</a>`)}
      <a href="/settings"><${Icon} name="settings" /> Settings</a>
      <${MenuItem} icon="keyboard" onClick=${() => { ui.dialog.value = { name: 'shortcuts' }; }}>Keyboard shortcuts<//>
      <${Theme} />
      <hr />
      <${MenuItem} icon="log-out" onClick=${() => { ui.dialog.value = { name: 'signout' }; }}>Sign out<//>
    <//>
  </div>`;
}

function Theme() {
  const [theme, choose] = useState(document.documentElement.dataset.theme ?? 'auto');
  const options = [['auto', 'As the device'], ['light', 'Light'], ['dark', 'Dark']];
  return html`<label class="menu-field"><span><${Icon} name="monitor" /> Appearance</span>
    <select class="input" value=${theme} onChange=${(/** @type {Event} */ event) => {
      const { value } = /** @type {HTMLSelectElement} */ (event.target);
      setTheme(value);
      choose(value);
    }}>${options.map(([value, label]) => html`<option value=${value} selected=${value === theme}>${label}</option>`)}</select></label>`;
}
