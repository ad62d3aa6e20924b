/**
 * Perfect negotiation with one peer (WebRTC 1.0, 10.7) as a pure state machine: `step` takes
 * what happened and tells what to do. One operation on the connection at a time; what comes
 * meanwhile waits. Of two offers at once the impolite side's stands. Losing, repeating or
 * delaying any signal leaves both sides able to end in one stable connection.
 *
 * `neg` names an offer: `<round>.<number><p|i>`. Its answer and the candidates of either carry
 * the same name, so that what belongs to another negotiation is told apart and dropped.
 */

/**
 * @typedef {{neg: string, description?: {type: string, sdp: string}, candidate?: any}} Signal
 * @typedef {object} State
 * @property {boolean} polite
 * @property {number} round of connections between the two; a higher one begins anew
 * @property {boolean} offered an offer of ours waits for its answer
 * @property {boolean} settled an offer and its answer have met once
 * @property {boolean} wanted an offer is to be made
 * @property {'offer' | 'answer' | 'accept' | null} busy
 * @property {number} serial of our offers
 * @property {string} mine name of our last offer
 * @property {string} theirs name of the peer's offer that we answered or are answering
 * @property {string} local name of what our local description belongs to
 * @property {Signal[]} inbox
 * @property {any[]} gathered candidates whose description has not gone yet
 *
 * @typedef {{is: 'needed'} | {is: 'signal', signal: Signal} | {is: 'done', description?: any}
 *   | {is: 'failed'} | {is: 'gathered', candidate: any} | {is: 'again'}} Happening
 * @typedef {{to: 'offer'} | {to: 'answer', description: any, afresh: boolean} | {to: 'accept', description: any}
 *   | {to: 'add', candidate: any} | {to: 'send', signal: Signal} | {to: 'repeat', neg: string, type: string}
 *   | {to: 'give-up'}} Action `repeat` sends the present local description once more
 */

/** @param {{polite: boolean, round?: number}} side @returns {State} */
export function begin({ polite, round = 1 }) {
  return {
    polite, round, offered: false, settled: false, wanted: false, busy: null, serial: 0,
    mine: '', theirs: '', local: '', inbox: [], gathered: [],
  };
}

/** @param {string} neg the round that it belongs to, 0 for what is no name */
export function roundOf(neg) {
  return Number.parseInt(neg, 10) || 0;
}

/**
 * @param {State} state is not changed
 * @param {Happening} event
 * @returns {{state: State, actions: Action[]}} to be done in their order
 */
export function step(state, event) {
  const next = { ...state, inbox: [...state.inbox], gathered: [...state.gathered] };
  /** @type {Action[]} */
  const actions = [];
  switch (event.is) {
    case 'needed': next.wanted = true; break;
    case 'signal': next.inbox.push(event.signal); break;
    case 'gathered': next.gathered.push(event.candidate); break;
    case 'again':
      if (!next.busy && next.offered) actions.push({ to: 'repeat', neg: next.mine, type: 'offer' });
      break;
    case 'done': finished(next, actions, event.description); break;
    case 'failed':
      next.busy = null;
      actions.push({ to: 'give-up' });
      break;
  }
  while (!next.busy && next.inbox.length > 0) take(next, actions, /** @type {Signal} */ (next.inbox.shift()));
  if (!next.busy && next.wanted && !next.offered) offer(next, actions);
  // Candidates follow their description: the peer could do nothing with them before.
  if (!next.busy) for (const candidate of next.gathered.splice(0)) actions.push({ to: 'send', signal: { neg: next.local, candidate } });
  return { state: next, actions };
}

/** @param {State} state @param {Action[]} actions @param {any} description */
function finished(state, actions, description) {
  const { busy } = state;
  state.busy = null;
  if (busy === 'offer') {
    state.offered = true;
    actions.push({ to: 'send', signal: { neg: state.mine, description } });
  } else {
    state.settled = true;
    if (busy === 'answer') actions.push({ to: 'send', signal: { neg: state.theirs, description } });
  }
}

/** @param {State} state @param {Action[]} actions */
function offer(state, actions) {
  state.wanted = false;
  state.serial += 1;
  state.mine = state.local = `${state.round}.${state.serial}${state.polite ? 'p' : 'i'}`;
  state.busy = 'offer';
  actions.push({ to: 'offer' });
}

/** @param {State} state @param {Action[]} actions @param {Signal} signal */
function take(state, actions, { neg, description, candidate }) {
  if (description?.type === 'offer') offerCame(state, actions, neg, description);
  else if (description?.type === 'answer') {
    if (!state.offered || neg !== state.mine) return; // late, or twice
    state.offered = false;
    state.busy = 'accept';
    actions.push({ to: 'accept', description });
  } else if (candidate && (neg === state.theirs || neg === state.mine)) actions.push({ to: 'add', candidate });
}

/** @param {State} state @param {Action[]} actions @param {string} neg @param {any} description */
function offerCame(state, actions, neg, description) {
  if (neg === state.theirs && state.local === neg && !state.offered) { // the answer was lost
    actions.push({ to: 'repeat', neg, type: 'answer' });
    return;
  }
  if (serialOf(neg) < serialOf(state.theirs)) return; // overtaken by a newer one
  if (state.offered && !state.polite) return;
  // A first offer that loses leaves transceivers that belong to no section: begin without them.
  const afresh = state.offered && !state.settled;
  // Answering once more what was answered before makes up for nothing that ours was to tell.
  if (state.offered && neg === state.theirs) state.wanted = true;
  if (afresh) {
    state.gathered = [];
    state.wanted = false;
  }
  state.offered = false;
  state.theirs = state.local = neg;
  state.busy = 'answer';
  actions.push({ to: 'answer', description, afresh });
}

/** @param {string} neg */
function serialOf(neg) {
  return Number.parseInt(neg.split('.')[1] ?? '', 10) || 0;
}
