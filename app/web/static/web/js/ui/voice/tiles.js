/** Screens and cameras of a call, above what is written in its conversation. */

import { IconButton, html, useApp, useEffect, useRef } from '../html.js';

/** @param {{conversation: string}} props */
export function Tiles({ conversation }) {
  const { session } = useApp();
  const { calls } = session;
  const place = calls.room.place.value;
  if (place?.conversation !== conversation) return null;
  const tiles = shown(session, place.pid);
  if (tiles.length === 0) return null;
  return html`<section class="call-tiles" aria-label="Screens and cameras of the call">
    ${tiles.map((tile) => html`<${Tile} key=${tile.key} ...${tile} />`)}</section>`;
}

/** @param {Parley.Session} session @param {string} me screens first: they are why one looks */
function shown({ calls, store }, me) {
  const { media, room } = calls;
  const views = room.views.value;
  const roster = [...calls.view(room.place.value?.conversation ?? '')?.roster.values() ?? []];
  return (/** @type {const} */ (['screen', 'camera'])).flatMap((kind) => roster.flatMap((one) => {
    const mine = one.pid === me;
    const track = mine ? media[kind].value : (kind === 'screen' ? one.screen : one.video) && views.get(one.pid)?.[kind];
    const name = mine ? 'You' : store.name(one.user);
    return track ? [{ key: `${one.pid}:${kind}`, track, mine, kind, name }] : [];
  }));
}

/** @param {{track: MediaStreamTrack, mine: boolean, kind: string, name: string}} props */
function Tile({ track, mine, kind, name }) {
  const element = useRef(/** @type {HTMLVideoElement | null} */ (null));
  const label = kind === 'screen' ? `${mine ? 'Your' : `${name}’s`} screen` : `${mine ? 'Your' : `${name}’s`} camera`;
  useEffect(() => {
    const video = element.current;
    if (!video) return;
    video.srcObject = new MediaStream([track]);
    // Silent pictures may always begin; one that is closed meanwhile cannot.
    video.play().catch(() => {});
  }, [track]);
  return html`<figure class=${`call-tile call-tile-${kind} ${mine && kind === 'camera' ? 'is-mirrored' : ''}`}>
    <video ref=${element} muted autoplay playsinline aria-label=${label}></video>
    <figcaption class="small"><span class="grow truncate">${label}</span>
      ${!mine && html`<${IconButton} icon="maximize" label=${`Show ${label} on the whole screen`} class="button-small" onClick=${() => void element.current?.requestFullscreen?.()} />`}</figcaption>
  </figure>`;
}
