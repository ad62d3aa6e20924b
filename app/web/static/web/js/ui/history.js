/** The earlier versions of one's own message: nothing that was written is gone. */

import { Markdown } from './markdown.js';
import { PaneCard, PaneProblem, PaneWaiting } from './pane-card.js';
import { html, useApp, useEffect, useState } from './html.js';
import { loadVersions } from '../commands.js';
import { localTime } from '../time.js';

/** @type {Record<string, string>} */
const KINDS = { created: 'Written', edited: 'Edited', deleted: 'Deleted' };

/** @param {{id: string}} props */
export function History({ id }) {
  const { session } = useApp();
  const [versions, setVersions] = useState(/** @type {Parley.Version[] | null} */ (null));
  const [problem, setProblem] = useState('');
  const load = () => {
    setProblem('');
    loadVersions(session, id).then(setVersions, (error) => setProblem(error.message));
  };
  useEffect(load, [id]);
  return html`<${PaneCard} title="Versions">
    ${problem && html`<${PaneProblem} problem=${problem} retry=${load} />`}
    ${!versions && !problem && html`<${PaneWaiting} />`}
    <ol class="versions">${versions?.toReversed().map((version) => html`<li key=${version.revision}>
      <p class="small soft">${KINDS[version.kind] ?? version.kind} · ${localTime(version.at)}</p>
      ${version.body !== null && html`<${Markdown} owner=${version} body=${version.body} names=${session.store.names.value} me=${session.store.name(session.me.id)} />`}
    </li>`)}</ol>
  <//>`;
}
