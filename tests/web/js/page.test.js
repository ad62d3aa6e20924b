import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api, ApiError, NetworkError, messagesQuery } from '../../../app/web/static/web/js/api.js';
import { Drafts } from '../../../app/web/static/web/js/drafts.js';
import { best } from '../../../app/web/static/web/js/fuzzy.js';
import { newId } from '../../../app/web/static/web/js/ids.js';
import { decode, encode, fits, mayReconnect } from '../../../app/web/static/web/js/protocol.js';
import { toRows } from '../../../app/web/static/web/js/rows.js';
import { dayName, utc } from '../../../app/web/static/web/js/time.js';
import { FakeStorage } from './fakes.js';

test('frames: what is no frame of the protocol is refused', () => {
  assert.deepEqual(decode('{"id":7,"ok":{}}'), { kind: 'ok', id: 7, ok: {} });
  assert.equal(decode('{"op":"bye","d":{"reason":"revoked"}}').kind, 'control');
  for (const text of ['', '1', 'null', '[]', '{}', '{"id":"7","ok":1}', '{"s":"x"}']) assert.throws(() => decode(text), SyntaxError, text);
});

test('a frame is measured in bytes, not in letters', () => {
  assert.equal(fits(encode(1, 'send', { body: 'a'.repeat(16_000) })), true);
  assert.equal(fits(encode(1, 'send', { body: 'ä'.repeat(16_000) })), false);
});

test('only 45xx is final', () => {
  assert.deepEqual([1000, 1006, 4101, 4108, 4112, 4500, 4501, 4599, 4600].map(mayReconnect), [true, true, true, true, true, false, false, false, true]);
});

test('REST: the token goes with what changes something, and errors are the document’s', async () => {
  const calls = [];
  const answer = (status, body, headers) => new Response(body, { status, headers });
  let next = () => answer(200, '{"a":1}');
  const api = new Api({ csrf: () => 'token', fetch: async (url, options) => { calls.push([url, options]); return next(); } });
  assert.deepEqual(await api.get('/me'), { a: 1 });
  assert.equal(calls[0][1].headers['X-CSRFToken'], undefined);
  next = () => answer(200, '');
  assert.equal(await api.post('/x', { b: 2 }), null);
  assert.deepEqual([calls[1][0], calls[1][1].headers['X-CSRFToken'], calls[1][1].body], ['/api/x', 'token', '{"b":2}']);
  next = () => answer(400, '{"error":{"code":"invalid","message":"No.","fields":{"name":["Too long."]}}}');
  await assert.rejects(api.get('/x'), (error) => error instanceof ApiError && error.code === 'invalid' && error.fields.name[0] === 'Too long.' && !error.retry);
  next = () => answer(502, '<html>', { 'Retry-After': '7' });
  await assert.rejects(api.get('/x'), (error) => error.retry && error.retryAfter === 7);
  next = () => { throw new TypeError('failed to fetch'); };
  await assert.rejects(api.get('/x'), NetworkError);
});

test('pages of messages are asked for by offset', () => {
  assert.equal(messagesQuery(undefined, 50), 'limit=50');
  assert.equal(messagesQuery(7, 50, { thread: 't' }), 'limit=50&before=7&thread=t');
  assert.equal(messagesQuery(undefined, 50, { after: 0 }), 'limit=50&after=0');
});

test('drafts are a person’s own, and empty ones are none', () => {
  const storage = new FakeStorage();
  const drafts = new Drafts(storage, 'alice');
  drafts.write('c', 'half a thought');
  assert.equal(new Drafts(storage, 'alice').read('c'), 'half a thought');
  assert.equal(new Drafts(storage, 'bob').read('c'), '');
  assert.deepEqual([...drafts.places()], ['c']);
  drafts.write('c', '   ');
  assert.equal(drafts.read('c'), '');
  drafts.write('c', 'again');
  new Drafts(storage, 'bob').write('c', 'bob’s');
  drafts.wipe();
  assert.deepEqual([drafts.read('c'), new Drafts(storage, 'bob').read('c')], ['', 'bob’s']);
});

test('jumping finds by starts, words, and scattered letters, whatever the accents', () => {
  const names = ['ward-4-handover', 'admissions', 'Tomás Rey', 'rota', 'forward-plan'];
  const found = (query) => best(query, names, (name) => name);
  assert.equal(found('ward')[0], 'ward-4-handover');
  assert.equal(found('tomas')[0], 'Tomás Rey');
  assert.equal(found('w4h')[0], 'ward-4-handover');
  assert.deepEqual(found('xyz'), []);
  assert.deepEqual(found(''), names);
});

test('ids are UUID v4 in lower case', () => {
  for (let round = 0; round < 50; round += 1) assert.match(newId(), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test('rows: days, grouping within five minutes, and the New line before the first of others', () => {
  const at = (time) => `2026-11-21T${time}:00Z`;
  const message = (offset, author, time) => ({ id: `m${offset}`, offset, author, at: at(time) });
  const rows = toRows([message(1, 'bob', '12:00'), message(2, 'bob', '12:04'), message(3, 'me', '12:05'), message(4, 'bob', '12:06'), message(5, 'bob', '12:20')], [
    { id: 'p1', at: new Date(at('12:21')).getTime() }, { id: 'm3', at: 0 },
  ], { me: 'me', newAfter: 2 });
  assert.deepEqual(rows.map((row) => row.key.replace(/^day:.*/, 'day')), ['day', 'm1', 'm2', 'm3', 'new', 'm4', 'm5', 'p1']);
  assert.deepEqual(rows.filter((row) => row.kind === 'message').map((row) => [row.grouped, row.last]), [[false, false], [true, true], [false, true], [false, true], [false, true]]);
});

test('times: days have names, receipts are in UTC with all their digits', () => {
  const now = new Date(2026, 10, 21, 12).getTime();
  assert.equal(dayName(new Date(2026, 10, 21, 0, 1).getTime(), now), 'Today');
  assert.equal(dayName(new Date(2026, 10, 20, 23, 59).getTime(), now), 'Yesterday');
  assert.equal(dayName(new Date(2026, 10, 16).getTime(), now), 'Monday 16 November');
  assert.match(dayName(new Date(2025, 10, 16).getTime(), now), /2025/);
  assert.equal(utc('2026-11-21T08:02:14.312345Z'), '2026-11-21 08:02:14.312345 UTC');
});
