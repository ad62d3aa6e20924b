/** How well one hears somebody: bars and a word, and whether sound takes the way through the relay. */

import { Icon, html } from '../html.js';
import { AT_SERVER, AT_SERVER_MORE, GRADES } from './words.js';

/** @type {Record<string, string>} */
const BARS = { good: 'signal-high', fair: 'signal-medium', poor: 'signal-low' };

/** @param {{grade: Parley.Voice.Grade, relayed: boolean, server?: boolean, detail?: string}} props */
export function Quality({ grade, relayed, server = false, detail = '' }) {
  return html`<span class=${`call-quality call-quality-${grade} small`} title=${detail}>
    <${Icon} name=${BARS[grade] ?? ''} /> <span class="hidden-visually">connection: </span>${GRADES[grade]}${relayed && html`<span class="soft" title="Sound goes through your organization’s relay, as there is no direct way"> · relayed</span>`}${server && html`<span class="soft wide-only" title=${`${AT_SERVER} ${AT_SERVER_MORE}`}> · by server</span>`}</span>`;
}
