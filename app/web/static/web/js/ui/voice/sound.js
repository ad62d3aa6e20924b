/** What is heard: one element for each person, as loud as one has set it. No sight of its own. */

import { html, useApp, useEffect, useRef, useState } from '../html.js';

export function Sound() {
  const { session } = useApp();
  const { room } = session.calls;
  const [blocked, setBlocked] = useState(false);
  const views = room.views.value;
  const roster = session.calls.view(room.place.value?.conversation ?? '')?.roster;
  const play = () => {
    setBlocked(false);
    for (const element of document.querySelectorAll('audio.call-sound')) /** @type {HTMLAudioElement} */ (element).play().catch(() => setBlocked(true));
  };
  return html`${[...views].map(([pid, view]) => view.sound && html`<${Voice} key=${pid} track=${view.sound} user=${roster?.get(pid)?.user ?? ''} onBlocked=${() => setBlocked(true)} />`)}
    ${blocked && views.size > 0 && html`<p class="banner banner-warn" role="alert"><span>The browser keeps the call silent until you say so.</span>
      <button type="button" class="button button-small" onClick=${play}>Hear the call</button></p>`}`;
}

/** @param {{track: MediaStreamTrack, user: string, onBlocked: () => void}} props */
function Voice({ track, user, onBlocked }) {
  const { session } = useApp();
  const { calls } = session;
  const element = useRef(/** @type {HTMLAudioElement | null} */ (null));
  const volume = calls.volumes.value.get(user) ?? calls.volume(user);
  const speaker = calls.speaker.value;
  useEffect(() => {
    const audio = element.current;
    if (!audio) return;
    audio.srcObject = new MediaStream([track]);
    audio.play().catch((error) => { if (error.name === 'NotAllowedError') onBlocked(); });
  }, [track]);
  useEffect(() => { if (element.current) element.current.volume = volume; }, [volume]);
  useEffect(() => {
    // Not every browser lets a page choose: then it is the system's choice.
    const audio = element.current;
    if (audio && 'setSinkId' in audio) audio.setSinkId(speaker).catch(() => {});
  }, [speaker]);
  return html`<audio class="call-sound" ref=${element} autoplay></audio>`;
}
