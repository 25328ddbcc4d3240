import { describe, expect, test } from 'vitest';
import { replyClassOf } from '../../src/core/reply-class.js';
import { type SendOutcome, SmtpFailure } from '../../src/core/smtp-outcome.js';

const rcpt = (code: number | null) => ({
  address: 'b@example.org',
  accepted: code === 250,
  code,
  enhanced: null,
  reply: '',
});
const reply = (code: number | null) => ({ code, enhanced: null, reply: '' });
const outcome = (changes: Partial<SendOutcome>): SendOutcome => ({
  recipients: [rcpt(250)],
  final: null,
  failure: null,
  ...changes,
});
const failed = (details: ConstructorParameters<typeof SmtpFailure>[0]) =>
  outcome({ failure: new SmtpFailure(details) });

describe('an attempt is counted by what the server answered', () => {
  test.each([
    ['to the end of the body, accepting it', outcome({ final: reply(250) }), '2xx'],
    ['to the end of the body, for now', outcome({ final: reply(451) }), '4xx'],
    ['to the end of the body, for good', outcome({ final: reply(554) }), '5xx'],
    ['to the end of the body, with what is no reply', outcome({ final: reply(null) }), 'connection'],
    [
      'to some recipients, taking the others',
      outcome({ recipients: [rcpt(250), rcpt(550)], final: reply(250) }),
      '2xx',
    ],
    ['to every recipient, for good', outcome({ recipients: [rcpt(550), rcpt(551)] }), '5xx'],
    ['to every recipient, one of them for now', outcome({ recipients: [rcpt(550), rcpt(450)] }), '4xx'],
    ['to MAIL, for now', failed({ step: 'mail', code: 421 }), '4xx'],
    ['to MAIL, for good', failed({ step: 'mail', code: 550 }), '5xx'],
    ['nothing, before the body', failed({ step: 'data', causeCode: 'ECONNRESET' }), 'connection'],
    ['nothing, after it', failed({ step: 'final', causeCode: 'ETIMEDOUT', bodyStarted: true }), 'connection'],
  ])('%s', (_, of, wanted) => {
    expect(replyClassOf(of)).toBe(wanted);
  });

  test('not at all when it was never asked', () => {
    expect(replyClassOf(failed({ step: 'mail', causeCode: 'MESSAGE_TOO_LARGE' }))).toBeUndefined();
  });
});
