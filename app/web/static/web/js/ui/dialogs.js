/** Which dialog is open, and the short ones. */

import { Dialog, Actions } from './dialog.js';
import { AddPeople, Browse, CreateConversation, CreateDirect, Rename } from './conversation-dialogs.js';
import { Jump } from './jump.js';
import { Search } from './search.js';
import { MoveCall } from './voice/move.js';
import { CallDialog } from './voice/prejoin.js';
import { html, plural, useApp, useState } from './html.js';
import { goToList } from './navigation.js';
import { deleteMessage, leaveConversation } from '../commands.js';

export function Dialogs() {
  const { ui } = useApp();
  const dialog = ui.dialog.value;
  switch (dialog?.name) {
    case 'jump': return html`<${Jump} />`;
    case 'search': return html`<${Search} query=${dialog.query} />`;
    case 'create': return html`<${CreateConversation} />`;
    case 'direct': return html`<${CreateDirect} />`;
    case 'browse': return html`<${Browse} />`;
    case 'add-people': return html`<${AddPeople} id=${dialog.conversation} />`;
    case 'rename': return html`<${Rename} id=${dialog.conversation} />`;
    case 'leave': return html`<${Leave} id=${dialog.conversation} />`;
    case 'call': return html`<${CallDialog} key=${dialog.conversation} id=${dialog.conversation} />`;
    case 'move-call': return html`<${MoveCall} participant=${dialog.participant} />`;
    case 'delete': return html`<${Delete} message=${dialog.message} />`;
    case 'shortcuts': return html`<${Shortcuts} />`;
    case 'signout': return html`<${SignOut} />`;
    default: return null;
  }
}

const SHORTCUTS = [
  ['Ctrl K', 'Jump to a conversation or a person'], ['/', 'Search messages'], ['Alt ↑ / Alt ↓', 'The conversation above or below'],
  ['Enter', 'Send'], ['Shift Enter', 'A new line'], ['↑', 'Edit your last message (in an empty field)'],
  ['Ctrl B, Ctrl I', 'Bold, italic'], ['@', 'Mention somebody'], ['Shift Tab, then ↑ ↓', 'From message to message; Tab goes to what can be done with it'],
  ['Ctrl Shift Space', 'In a call: mute or unmute'], ['Space (held)', 'In a call, with push to talk: be heard'],
  ['Esc', 'Close what is open'], ['?', 'This list'],
];

function Shortcuts() {
  const { ui } = useApp();
  return html`<${Dialog} title="Keyboard shortcuts" close=${() => { ui.dialog.value = null; }}>
    <dl class="shortcuts">${SHORTCUTS.map(([keys, what]) => html`<dt><kbd>${keys}</kbd></dt><dd>${what}</dd>`)}</dl>
  <//>`;
}

/** @param {{message: Parley.Message}} props */
function Delete({ message }) {
  const { session, ui } = useApp();
  const [busy, setBusy] = useState(false);
  const remove = async () => {
    setBusy(true);
    if (await ui.attempt(() => deleteMessage(session, message))) ui.dialog.value = null;
    else setBusy(false);
  };
  return html`<${Dialog} title="Delete this message?" close=${() => { ui.dialog.value = null; }} onSubmit=${() => void remove()}
    foot=${html`<${Actions} ui=${ui} name="Delete" danger busy=${busy} />`}>
    <p>Nobody in the conversation will see it any more. Its versions are kept, sealed, for as long as your organization has to keep them.</p>
  <//>`;
}

/** @param {{id: string}} props */
function Leave({ id }) {
  const app = useApp();
  const { session, ui } = app;
  const conversation = session.store.conversation(id);
  const [busy, setBusy] = useState(false);
  const leave = async () => {
    setBusy(true);
    if (await ui.attempt(() => leaveConversation(session, id))) {
      ui.dialog.value = null;
      goToList(app);
    } else setBusy(false);
  };
  return html`<${Dialog} title=${`Leave ${conversation?.name ?? 'this conversation'}?`} close=${() => { ui.dialog.value = null; }} onSubmit=${() => void leave()}
    foot=${html`<${Actions} ui=${ui} name="Leave" danger busy=${busy} />`}>
    <p>${conversation?.kind === 'private' ? 'It is private: to come back, somebody in it has to add you.' : 'You can join it again whenever you like.'}</p>
  <//>`;
}

function SignOut() {
  const { session, ui } = useApp();
  const [busy, setBusy] = useState(false);
  const unsent = session.outbox.entries.value.length;
  const signOut = async () => {
    setBusy(true);
    const left = await ui.attempt(() => session.api.post('/auth/sign-out'));
    if (!left) return setBusy(false);
    session.connection.stop();
    session.drafts.wipe();
    session.outbox.wipe();
    location.assign('/sign-in');
  };
  return html`<${Dialog} title="Sign out?" close=${() => { ui.dialog.value = null; }} onSubmit=${() => void signOut()}
    foot=${html`<${Actions} ui=${ui} name="Sign out" danger=${unsent > 0} busy=${busy} />`}>
    <p>Drafts on this device are thrown away.${unsent > 0 ? ` So ${unsent === 1 ? 'is' : 'are'} ${plural(unsent, 'message that has', 'messages that have')} not been sent yet.` : ''}</p>
  <//>`;
}
