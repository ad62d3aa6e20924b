/** The files of a message: pictures as they are, others as a line with name and size. */

import { Icon, html, useState } from './html.js';

const WIDEST = 400;
const HIGHEST = 300;

/** @param {{files: Parley.Attachment[], link?: boolean}} props `link` false: not sent yet */
export function Files({ files, link = true }) {
  if (files.length === 0) return null;
  return html`<ul class="files" aria-label=${files.length === 1 ? 'One file' : `${files.length} files`}>
    ${files.map((file) => html`<li key=${file.id}>${file.width && file.height && link ? html`<${Picture} file=${file} />` : html`<${Chip} file=${file} link=${link} />`}</li>`)}
  </ul>`;
}

/** Its size is reserved before it comes: nothing moves. @param {{file: Parley.Attachment}} props */
function Picture({ file }) {
  const [broken, setBroken] = useState(false);
  if (broken) return html`<${Chip} file=${file} link note="The preview could not be loaded." />`;
  const [width, height] = fitted(file.width ?? 1, file.height ?? 1);
  const name = file.name ?? 'picture';
  return html`<a class="file-picture" href=${`/api/attachments/${file.id}`} download=${name} title=${`Download ${name}, ${fileSize(file.size)}`}>
    <img src=${`/api/attachments/${file.id}/preview`} alt=${`Picture: ${name}`} width=${width} height=${height} loading="lazy" decoding="async"
      onError=${() => setBroken(true)} /></a>`;
}

/** @param {{file: Parley.Attachment, link: boolean, note?: string}} props */
function Chip({ file, link, note = '' }) {
  if (file.name === null) return html`<span class="file-chip is-gone soft"><${Icon} name="file" /> A file that has been erased</span>`;
  const inside = html`<${Icon} name=${iconOf(file.type)} /><span class="file-words"><span class="file-name">${file.name}</span>
    <span class="small soft">${fileSize(file.size)}${note && ` · ${note}`}</span></span>`;
  if (!link) return html`<span class="file-chip">${inside}</span>`;
  return html`<a class="file-chip" href=${`/api/attachments/${file.id}`} download=${file.name}>
    <span class="hidden-visually">Download</span>${inside}<${Icon} name="download" /></a>`;
}

/** @param {string | null} type */
function iconOf(type) {
  if (type?.startsWith('image/')) return 'file-image';
  return type?.startsWith('text/') || type === 'application/pdf' ? 'file-text' : 'file';
}

/** @param {number} width @param {number} height @returns {[number, number]} what fits, never enlarged */
export function fitted(width, height) {
  const scale = Math.min(1, WIDEST / width, HIGHEST / height);
  return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
}

/** @param {number} bytes */
export function fileSize(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  const units = ['KB', 'MB', 'GB'];
  let value = bytes / 1000;
  while (value >= 999.5 && units.length > 1) {
    value /= 1000;
    units.shift();
  }
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[0]}`;
}
