/** Beginning, finding, naming conversations, and adding people to them. */

import { Actions, Dialog } from './dialog.js';
import { Avatar, Icon, html, plural, useApp, useEffect, useState } from './html.js';
import { go } from './navigation.js';
import { addMember, changeConversation, joinConversation, startConversation } from '../commands.js';
import { best } from '../fuzzy.js';

/** @param {Event} event */
const valueOf = (event) => /** @type {HTMLInputElement} */ (event.target).value;

/** @param {Parley.App} app @param {() => Promise<void>} task what a dialog does; what is wrong with a field stands beside it */
function useTask(app, task) {
  const [state, setState] = useState(/** @type {{busy: boolean, problem: string, fields: Record<string, string[]>}} */ ({ busy: false, problem: '', fields: {} }));
  const run = async () => {
    setState({ busy: true, problem: '', fields: {} });
    try {
      await task();
      app.ui.dialog.value = null;
    } catch (error) {
      const { message, fields = {} } = /** @type {any} */ (error);
      setState({ busy: false, problem: Object.keys(fields).length ? '' : message, fields });
    }
  };
  return { ...state, run };
}

/** @param {{name: string, label: string, value: string, onInput: (value: string) => void, error?: string, help?: string, first?: boolean}} props */
function Field({ name, label, value, onInput, error, help, first = false }) {
  return html`<div class="field"><label for=${`field-${name}`}>${label}</label>
    <input id=${`field-${name}`} type="text" value=${value} data-first=${first ? '' : undefined} autocomplete="off" aria-invalid=${error ? 'true' : undefined}
      aria-describedby=${error ? `error-${name}` : help ? `help-${name}` : undefined} onInput=${(/** @type {Event} */ event) => onInput(valueOf(event))} />
    ${help && html`<p class="field-help" id=${`help-${name}`}>${help}</p>`}
    ${error && html`<p class="field-error" id=${`error-${name}`}>${error}</p>`}</div>`;
}

export function CreateConversation() {
  const app = useApp();
  const [kind, setKind] = useState('public');
  const [name, setName] = useState('');
  const [topic, setTopic] = useState('');
  const [members, setMembers] = useState(/** @type {string[]} */ ([]));
  const task = useTask(app, async () => {
    const made = await startConversation(app.session, { kind, name: name.trim(), topic: topic.trim(), members });
    go(app, made.id);
  });
  const choice = (/** @type {string} */ value, /** @type {string} */ label, /** @type {string} */ help) => html`<label class="choice">
    <input type="radio" name="kind" value=${value} checked=${kind === value} onChange=${() => setKind(value)} /><span>${label}</span><small>${help}</small></label>`;
  return html`<${Dialog} title="New conversation" close=${() => { app.ui.dialog.value = null; }} onSubmit=${() => void task.run()}
    foot=${html`<${Actions} ui=${app.ui} name="Begin" busy=${task.busy} disabled=${!name.trim()} />`}>
    <${Field} name="name" label="Name" value=${name} onInput=${setName} error=${task.fields.name?.[0]} help="Short, as in ward-4-handover." first />
    <${Field} name="topic" label="What it is about (optional)" value=${topic} onInput=${setTopic} error=${task.fields.topic?.[0]} />
    <fieldset class="stack stack-tight"><legend>Who can read it</legend>
      ${choice('public', 'Everyone in the organization', 'Anyone can find it and join.')}
      ${choice('private', 'Only those who are added', 'Nobody else sees that it exists.')}</fieldset>
    <${PeoplePicker} label="People to begin with (optional)" chosen=${members} onChange=${setMembers} except=${[app.session.me.id]} />
    ${task.problem && html`<p class="field-error" role="alert">${task.problem}</p>`}
  <//>`;
}

export function CreateDirect() {
  const app = useApp();
  const [members, setMembers] = useState(/** @type {string[]} */ ([]));
  const task = useTask(app, async () => {
    const made = await startConversation(app.session, { kind: 'direct', members });
    go(app, made.id);
  });
  return html`<${Dialog} title="Write to" close=${() => { app.ui.dialog.value = null; }} onSubmit=${() => void task.run()}
    foot=${html`<${Actions} ui=${app.ui} name="Open" busy=${task.busy} disabled=${members.length === 0} />`}>
    <${PeoplePicker} label="One person, or several" chosen=${members} onChange=${setMembers} except=${[app.session.me.id]} first />
    ${task.problem && html`<p class="field-error" role="alert">${task.problem}</p>`}
  <//>`;
}

/** @param {{id: string}} props */
export function AddPeople({ id }) {
  const app = useApp();
  const [members, setMembers] = useState(/** @type {string[]} */ ([]));
  const here = app.session.store.members.value.get(id)?.map((member) => member.user) ?? [];
  useEffect(() => { void app.ui.attempt(() => app.session.loadMembers(id)); }, []);
  const task = useTask(app, async () => { for (const user of members) await addMember(app.session, id, user); });
  return html`<${Dialog} title="Add people" close=${() => { app.ui.dialog.value = null; }} onSubmit=${() => void task.run()}
    foot=${html`<${Actions} ui=${app.ui} name="Add" busy=${task.busy} disabled=${members.length === 0} />`}>
    <p class="soft">They will see everything that was written here before.</p>
    <${PeoplePicker} label="People" chosen=${members} onChange=${setMembers} except=${here} first />
    ${task.problem && html`<p class="field-error" role="alert">${task.problem}</p>`}
  <//>`;
}

/** @param {{id: string}} props */
export function Rename({ id }) {
  const app = useApp();
  const conversation = app.session.store.conversation(id);
  const [name, setName] = useState(conversation?.name ?? '');
  const [topic, setTopic] = useState(conversation?.topic ?? '');
  const task = useTask(app, () => changeConversation(app.session, id, { name: name.trim(), topic: topic.trim() }));
  return html`<${Dialog} title="Name and topic" close=${() => { app.ui.dialog.value = null; }} onSubmit=${() => void task.run()}
    foot=${html`<${Actions} ui=${app.ui} name="Save" busy=${task.busy} disabled=${!name.trim()} />`}>
    <${Field} name="name" label="Name" value=${name} onInput=${setName} error=${task.fields.name?.[0]} first />
    <${Field} name="topic" label="What it is about" value=${topic} onInput=${setTopic} error=${task.fields.topic?.[0]} />
    ${task.problem && html`<p class="field-error" role="alert">${task.problem}</p>`}
  <//>`;
}

export function Browse() {
  const app = useApp();
  const { session, ui } = app;
  const [query, setQuery] = useState('');
  const found = best(query, session.store.joinable.value, (one) => `${one.name} ${one.topic}`, 200);
  const join = (/** @type {string} */ id) => ui.attempt(async () => {
    await joinConversation(session, id);
    ui.dialog.value = null;
    go(app, id);
  });
  return html`<${Dialog} title="Conversations that you can join" close=${() => { ui.dialog.value = null; }}>
    <${Field} name="filter" label="Find" value=${query} onInput=${setQuery} first />
    <ul class="browse">${found.map((one) => html`<li key=${one.id}><${Icon} name="hash" />
      <div class="grow"><div class="truncate">${one.name}</div><div class="small soft truncate">${[plural(one.size, 'person', 'people'), one.topic].filter(Boolean).join(' · ')}</div></div>
      <button type="button" class="button button-small" aria-label=${`Join ${one.name}`} onClick=${() => void join(one.id)}>Join</button></li>`)}</ul>
    ${found.length === 0 && html`<p class="soft" role="status">${query ? 'None is called that.' : 'You are in all of them.'}</p>`}
  <//>`;
}

/** @param {{label: string, chosen: string[], onChange: (ids: string[]) => void, except: string[], first?: boolean}} props */
function PeoplePicker({ label, chosen, onChange, except, first = false }) {
  const { session } = useApp();
  const [query, setQuery] = useState('');
  const { store } = session;
  const people = [...store.people.value.values()].filter((person) => person.is_active && !except.includes(person.id))
    .sort((one, other) => one.display_name.localeCompare(other.display_name));
  const shown = best(query, people, (person) => person.display_name, 50);
  const toggle = (/** @type {string} */ id) => onChange(chosen.includes(id) ? chosen.filter((one) => one !== id) : [...chosen, id]);
  return html`<fieldset class="field"><legend>${label}${chosen.length > 0 && html` <span class="soft">· ${chosen.map((id) => store.name(id)).join(', ')}</span>`}</legend>
    ${people.length > 7 && html`<input type="text" value=${query} data-first=${first ? '' : undefined} placeholder="Find somebody" aria-label="Find somebody" autocomplete="off"
      onInput=${(/** @type {Event} */ event) => setQuery(valueOf(event))} />`}
    <div class="people-picker">${shown.map((person) => html`<label class="field-row" key=${person.id}>
      <input type="checkbox" checked=${chosen.includes(person.id)} onChange=${() => toggle(person.id)} />
      <${Avatar} id=${person.id} name=${person.display_name} small /> <span class="truncate">${person.display_name}</span></label>`)}</div>
    ${people.length === 0 && html`<p class="field-help">There is nobody else yet. An administrator can invite people.</p>`}
    ${people.length > 0 && shown.length === 0 && html`<p class="field-help" role="status">Nobody is called that.</p>`}
  </fieldset>`;
}
