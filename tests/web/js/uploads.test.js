import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, NetworkError } from '../../../app/web/static/web/js/api.js';
import { MAX_FILE_BYTES, Uploads } from '../../../app/web/static/web/js/uploads.js';
import { fileSize, fitted } from '../../../app/web/static/web/js/ui/files.js';
import { FakeClock, settled } from './fakes.js';

const PART = 4;

/** A server that keeps parts; `break_` may throw before a call is carried out. */
function server({ break_ = () => {} } = {}) {
  const files = new Map();
  const calls = [];
  const wire = {
    async request(method, path, data) {
      calls.push(`${method} ${path}`);
      break_(method, path);
      if (method === 'DELETE') return files.delete(path.split('/')[2]);
      if (path.endsWith('/complete')) {
        const id = path.split('/')[2];
        return { id, size: files.get(id).size, name: files.get(id).name };
      }
      const known = files.get(data.id) ?? { ...data, parts: new Map() };
      files.set(data.id, known);
      return { part_bytes: PART, parts: Math.max(1, Math.ceil(data.size / PART)), stored: [...known.parts.keys()] };
    },
    async put(path, part, sent, signal) {
      calls.push(`PUT ${path}`);
      break_('PUT', path);
      if (signal.aborted) throw new NetworkError();
      sent(part.size);
      const [, , id, , index] = path.split('/');
      files.get(id).parts.set(Number(index), await part.text());
    },
  };
  const text = (id) => [...files.get(id).parts.entries()].sort(([one], [other]) => one - other).map(([, part]) => part).join('');
  return { wire, calls, files, text };
}

function setUp(options) {
  const clock = new FakeClock();
  const place = server(options);
  let ids = 0;
  const uploads = new Uploads({ wire: place.wire, clock, newId: () => `id-${(ids += 1)}` });
  return { clock, uploads, ...place };
}

const file = (text, name = 'a.txt') => new File([text], name);
const states = (uploads) => uploads.all.value.map((one) => one.state);

async function quiet() {
  for (let turn = 0; turn < 20; turn += 1) await settled();
}

test('a file goes up in parts and is then ready to be sent', async () => {
  const { uploads, text } = setUp();
  uploads.add('c', 'c', [file('0123456789')]);
  await quiet();
  assert.deepEqual(states(uploads), ['ready']);
  assert.equal(text('id-1'), '0123456789');
  assert.deepEqual(uploads.take('c').map((one) => one.id), ['id-1']);
  assert.deepEqual(uploads.all.value, []);
});

test('what breaks off goes on from the part where it was, when the connection is back', async () => {
  let cut = true;
  const { uploads, calls, text } = setUp({ break_: (method, path) => {
    if (cut && path.endsWith('/parts/1')) throw new NetworkError();
  } });
  uploads.add('c', 'c', [file('0123456789')]);
  await quiet();
  assert.deepEqual(states(uploads), ['waiting']);
  cut = false;
  calls.length = 0;
  uploads.resume();
  await quiet();
  assert.deepEqual(states(uploads), ['ready']);
  assert.equal(text('id-1'), '0123456789');
  assert.ok(!calls.includes('PUT /attachments/id-1/parts/0'), 'part 0 was there already');
});

test('it is tried again by itself, after longer and longer pauses', async () => {
  let failures = 3;
  const { uploads, clock } = setUp({ break_: () => {
    if (failures > 0) { failures -= 1; throw new ApiError(503, { message: 'No room.' }); }
  } });
  uploads.add('c', 'c', [file('x')]);
  await quiet();
  assert.equal(uploads.all.value[0].error, 'No room.');
  for (const ms of [1_000, 2_000, 4_000]) {
    assert.deepEqual(states(uploads), ['waiting']);
    await clock.pass(ms);
    await quiet();
  }
  assert.deepEqual(states(uploads), ['ready']);
});

test('what the server refuses for good is said, and can be tried again by hand', async () => {
  let refuse = true;
  const { uploads } = setUp({ break_: () => { if (refuse) throw new ApiError(400, { message: 'That name deceives.' }); } });
  uploads.add('c', 'c', [file('x')]);
  await quiet();
  assert.deepEqual([uploads.all.value[0].state, uploads.all.value[0].error], ['failed', 'That name deceives.']);
  refuse = false;
  uploads.retry('id-1');
  await quiet();
  assert.deepEqual(states(uploads), ['ready']);
});

test('one that fails does not hold up the next', async () => {
  const { uploads } = setUp({ break_: (method, path) => { if (path.includes('id-1')) throw new ApiError(409, {}); } });
  uploads.add('c', 'c', [file('1'), file('2')]);
  await quiet();
  assert.deepEqual(states(uploads), ['failed', 'ready']);
});

test('one that is removed stops at once, and the server is told', async () => {
  const { uploads, calls, files } = setUp();
  uploads.add('c', 'c', [file('0123456789'), file('other')]);
  uploads.remove('id-1');
  await quiet();
  assert.deepEqual(uploads.all.value.map((one) => [one.id, one.state]), [['id-2', 'ready']]);
  assert.ok(calls.includes('DELETE /attachments/id-1'));
  assert.ok(!calls.includes('POST /attachments/id-1/complete'));
  assert.deepEqual([...files.keys()], ['id-2']);
});

test('files wait where they were chosen', async () => {
  const { uploads } = setUp();
  uploads.add('c', 'c', [file('1')]);
  uploads.add('thread', 'c', [file('2')]);
  await quiet();
  assert.deepEqual(uploads.take('c').map((one) => one.id), ['id-1']);
  assert.deepEqual(uploads.at('thread').map((one) => one.id), ['id-2']);
});

test('too many and too large are refused in words, the others are taken', async () => {
  const { uploads } = setUp();
  const large = { size: MAX_FILE_BYTES + 1, name: 'film.mp4' };
  assert.match(uploads.add('c', 'c', [large, file('1')]), /100 MB/);
  assert.match(uploads.add('c', 'c', Array.from({ length: 12 }, () => file('1'))), /at most 10/);
  assert.equal(uploads.at('c').length, 10);
});

test('sizes are said shortly, pictures fit and are never enlarged', () => {
  assert.deepEqual([0, 999, 1000, 1234, 999_499, 999_500, 104_857_600].map(fileSize), ['0 bytes', '999 bytes', '1.0 KB', '1.2 KB', '999 KB', '1.0 MB', '105 MB']);
  assert.deepEqual(fitted(4000, 2000), [400, 200]);
  assert.deepEqual(fitted(1000, 4000), [75, 300]);
  assert.deepEqual(fitted(20, 10), [20, 10]);
  assert.deepEqual(fitted(10_000, 1), [400, 1]);
});
