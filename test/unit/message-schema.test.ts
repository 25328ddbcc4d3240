import { describe, expect, it } from 'vitest';
import { addMessagesBodySchema } from '../../src/core/schemas/message.js';
import { parseMessage, toFieldIssues } from '../../src/core/schemas/parse-message.js';

/** Reason for which a message is rejected by its shape; undefined when it is not. */
function reason(raw: unknown): string | undefined {
  const result = parseMessage(raw);
  return 'rejection' in result ? result.rejection.reason : undefined;
}

describe('the add-messages body', () => {
  it('is checked without looking into its messages, so that a bad one stops no other', () => {
    const body = { messages: [{ id: 'a' }, 'nonsense', null], default_priority: 'high' };
    expect(addMessagesBodySchema.safeParse(body).success).toBe(true);
  });

  it.each([
    [{ messages: [] }],
    [{ messages: new Array(1001).fill({}) }],
    [{ messages: 'x' }],
    [{ messages: [{}], default_priority: 99 }],
    [{ messages: [{}], surprise: 1 }],
    [{}],
    [[]],
  ])('is refused when its own shape is wrong (case %#)', (body) => {
    expect(addMessagesBodySchema.safeParse(body).success).toBe(false);
  });

  it('names unknown fields in its issues and repeats no value', () => {
    const result = addMessagesBodySchema.safeParse({ messages: [{}], 'pass\u001bword': 'hunter2' });
    const issues = result.success ? [] : toFieldIssues(result.error);
    expect(issues).toEqual([{ path: 'pass?word', message: 'This field is not known.' }]);
  });
});

describe('the shape of a message', () => {
  it('takes every field of the contract, with null as absent', () => {
    const full = {
      id: 'm1',
      tenant_id: 'acme',
      account_id: null,
      from_addr: 'a@b.com',
      to: 'x@y.com, z@y.com',
      cc: ['c@y.com'],
      bcc: null,
      reply_to: 'r@b.com',
      return_path: '<>',
      subject: 'Hi',
      body: 'text',
      content_type: 'plain',
      message_id: 'a@b',
      headers: { 'X-Tag': '1' },
      priority: 'low',
      deferred_ts: 1_700_000_000.5,
      expires_ts: '2030-01-01T00:00:00Z',
      batch_code: 'Q1',
      attachments: [{ filename: 'a.txt', storage_path: 'base64:QQ==', fetch_mode: 'base64' }],
    };
    expect(reason(full)).toBeUndefined();
  });

  it.each([
    [{}, /^id: /],
    [{ id: '' }, /^id: /],
    [{ id: 'x'.repeat(256) }, /^id: /],
    [{ id: 'a\nb' }, /Control characters/],
    [{ id: 'a\ud800' }, /Control characters/],
    [{ id: 'a', subject: 7 }, /^subject: /],
    [{ id: 'a', to: 7 }, /^to: Must be a comma-separated string/],
    [{ id: 'a', to: new Array(1001).fill('a@b.com') }, /^to: /],
    [{ id: 'a', content_type: 'text/html' }, /^content_type: /],
    [
      { id: 'a', headers: Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`X-${n}`, '1'])) },
      /100 headers/,
    ],
    [{ id: 'a', headers: { 'X-Tag': 1 } }, /^headers.X-Tag: /],
    [{ id: 'a', surprise: 1 }, /^surprise: This field is not known/],
    [{ id: 'a', account_id: '../x' }, /^account_id: /],
    [
      { id: 'a', attachments: [{ filename: 'a', storage_path: 'x', path: '/etc/passwd' }] },
      /path: This field is not/,
    ],
    ['nonsense', /expected object/],
    [null, /expected object/],
  ])('is refused with the field named (case %#)', (raw, why) => {
    expect(reason(raw)).toMatch(why);
  });

  it('pitfall 18: headers that are a string are refused at the door, with the id of their message', () => {
    expect(parseMessage({ id: 'm1', headers: 'x' })).toEqual({
      rejection: { id: 'm1', reason: expect.stringMatching(/^headers: /), code: 'validation_failed' },
    });
  });

  it.each([99, -1, 1.5, 'urgent', true])('pitfall 22: priority %j is refused at the door', (priority) => {
    expect(reason({ id: 'a', priority })).toMatch(/^priority: Must be 0/);
  });

  it.each(['path', 'href', 'raw', 'content', 'cid', 'headers'])(
    'pitfall 28: an attachment has no option %s',
    (option) => {
      const attachment = { filename: 'a', storage_path: 'base64:QQ==', [option]: '/etc/passwd' };
      expect(reason({ id: 'a', attachments: [attachment] })).toMatch(`${option}: This field is not known.`);
    },
  );

  it('a rejection carries an id only when it could be one', () => {
    const ids = [{ id: 'a\u001b' }, { id: 7 }, {}, null].map((raw) => parseMessage(raw));
    expect(ids.map((result) => 'rejection' in result && result.rejection.id)).toEqual([
      null,
      null,
      null,
      null,
    ]);
  });
});
