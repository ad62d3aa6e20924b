/** The people of a conversation. */

import { Avatar, Icon, IconButton, grouped, html, useApp, useEffect, useState } from './html.js';
import { PaneProblem, PaneWaiting } from './pane-card.js';
import { go } from './navigation.js';
import { PresenceDot } from './presence.js';
import { removeMember, startConversation } from '../commands.js';

/** @param {{conversation: Parley.Conversation}} props */
export function People({ conversation }) {
  const app = useApp();
  const { session, ui } = app;
  const [problem, setProblem] = useState('');
  const members = session.store.members.value.get(conversation.id);
  const load = () => {
    setProblem('');
    session.loadMembers(conversation.id).catch((error) => setProblem(error.message));
  };
  useEffect(() => { if (conversation.member) load(); }, [conversation.id, conversation.member]);
  const owner = conversation.role === 'owner' && conversation.kind !== 'direct';
  return html`<section class="card">
    <div class="card-head"><h2 tabindex="-1">People ${members && html`<span class="soft">${grouped(members.length)}</span>`}</h2>
      <span class="row">${conversation.member && conversation.kind !== 'direct' && html`<${IconButton} icon="user-plus" label="Add people" class="button-small"
        onClick=${() => { ui.dialog.value = { name: 'add-people', conversation: conversation.id }; }} />`}
      <${IconButton} icon="x" label="Close: People" class="button-small pane-close" onClick=${() => ui.togglePane()} /></span></div>
    ${problem && html`<${PaneProblem} problem=${problem} retry=${load} />`}
    ${!members && !problem && conversation.member && html`<${PaneWaiting} />`}
    ${!conversation.member && html`<p class="soft small">${grouped(conversation.size)} in this conversation. Join to see who.</p>`}
    <ul class="people">${members?.map((member) => html`<${PersonRow} key=${member.user} member=${member} removable=${owner && member.user !== session.me.id} conversation=${conversation} />`)}</ul>
  </section>`;
}

/** @param {{member: Parley.Member, removable: boolean, conversation: Parley.Conversation}} props */
function PersonRow({ member, removable, conversation }) {
  const app = useApp();
  const { session, ui } = app;
  const { store, me } = session;
  const name = store.name(member.user);
  const mine = member.user === me.id;
  const write = () => ui.attempt(async () => {
    const direct = await startConversation(session, { kind: 'direct', members: [member.user] });
    go(app, direct.id);
  });
  return html`<li class="person"><span class="presence-face"><${Avatar} id=${member.user} name=${name} small /><${PresenceDot} user=${member.user} /></span>
    <span class="grow truncate">${name}${mine && html` <span class="soft">(you)</span>`}</span>
    ${member.role === 'owner' && html`<span class="small soft">owner</span>`}
    ${!mine && conversation.kind !== 'direct' && html`<${IconButton} icon="message-square" label=${`Write to ${name}`} class="button-small person-action" onClick=${() => void write()} />`}
    ${removable && html`<${IconButton} icon="user-x" label=${`Remove ${name}`} class="button-small person-action" onClick=${() => void ui.attempt(() => removeMember(session, conversation.id, member.user))} />`}
  </li>`;
}
