import { describe, expect, test } from 'vitest';
import { type RecipientOutcome, type SendOutcome, SmtpFailure } from '../../src/core/smtp-outcome.js';
import { MAX_REPLY_LENGTH, parseReply } from '../../src/core/smtp-reply.js';
import { judgeFailure, judgeOutcome, judgeReply } from '../../src/core/verdict.js';

const reply = (code: number | null) => ({ code, enhanced: null, reply: `${code ?? 'nonsense'}` });
const recipient = (address: string, accepted: boolean, code: number | null): RecipientOutcome => ({
  address,
  accepted,
  ...reply(code),
});
const verdicts = (outcome: SendOutcome) =>
  Object.fromEntries(judgeOutcome(outcome).map(({ address, verdict }) => [address, verdict]));

describe('judging a reply', () => {
  test.each([
    [250, 'sent'],
    [251, 'sent'],
    [421, 'retry'],
    [450, 'retry'],
    [452, 'retry'],
    [500, 'error'],
    [503, 'retry'],
    [550, 'error'],
    [554, 'error'],
    [354, 'retry'],
    [null, 'retry'],
  ] as const)('%s means %s', (code, verdict) => {
    expect(judgeReply(code)).toBe(verdict);
  });
});

describe('judging a failure', () => {
  test.each(['dns', 'connect', 'tls', 'greeting', 'ehlo', 'starttls', 'auth'] as const)(
    'at %s is the trouble of the account, even when the reply is 5xx',
    (step) => {
      const judgement = judgeFailure(new SmtpFailure({ step, code: 554, reply: '554 go away' }));
      expect(judgement).toEqual({ kind: 'account-trouble', reason: `${step}: 554 go away` });
    },
  );

  test.each(['mail', 'rcpt', 'data'] as const)(
    'at %s follows the reply, and a lost connection is retried',
    (step) => {
      expect(judgeFailure(new SmtpFailure({ step, code: 451 }))).toEqual({
        kind: 'message',
        verdict: 'retry',
      });
      expect(judgeFailure(new SmtpFailure({ step, code: 421 }))).toEqual({
        kind: 'message',
        verdict: 'retry',
      });
      expect(judgeFailure(new SmtpFailure({ step, code: 503 }))).toEqual({
        kind: 'message',
        verdict: 'retry',
      });
      expect(judgeFailure(new SmtpFailure({ step, code: 550 }))).toEqual({
        kind: 'message',
        verdict: 'error',
      });
      expect(judgeFailure(new SmtpFailure({ step, causeCode: 'ECONNRESET' }))).toEqual({
        kind: 'message',
        verdict: 'retry',
      });
    },
  );

  test('after the mark without a final reply is uncertain', () => {
    expect(judgeFailure(new SmtpFailure({ step: 'body', bodyStarted: true }))).toEqual({ kind: 'uncertain' });
    expect(judgeFailure(new SmtpFailure({ step: 'final', bodyStarted: true }))).toEqual({
      kind: 'uncertain',
    });
  });

  test('after the mark with a final 4xx or 5xx is definite', () => {
    const final = (code: number) => judgeFailure(new SmtpFailure({ step: 'final', code, bodyStarted: true }));
    expect(final(451)).toEqual({ kind: 'message', verdict: 'retry' });
    expect(final(421)).toEqual({ kind: 'message', verdict: 'retry' });
    expect(final(554)).toEqual({ kind: 'message', verdict: 'error' });
    expect(final(354)).toEqual({ kind: 'uncertain' });
  });

  test('of our own making ends in error, so that a poison message is not tried for ever', () => {
    for (const causeCode of ['ADDRESS_INVALID', 'MESSAGE_TOO_LARGE', 'SMTPUTF8_REQUIRED']) {
      expect(judgeFailure(new SmtpFailure({ step: 'mail', causeCode }))).toEqual({
        kind: 'message',
        verdict: 'error',
      });
    }
  });
});

describe('judging recipients one by one', () => {
  test('partly refused recipients are not marked sent, and a 550 is not listed as sent', () => {
    const outcome: SendOutcome = {
      recipients: [recipient('a@x', true, 250), recipient('b@x', false, 550), recipient('c@x', false, 451)],
      final: reply(250),
      failure: null,
    };
    expect(verdicts(outcome)).toEqual({ 'a@x': 'sent', 'b@x': 'error', 'c@x': 'retry' });
  });

  test('one temporary refusal among permanent ones does not make the permanent ones temporary', () => {
    const recipients = [recipient('a@x', false, 550), recipient('b@x', false, 450)];
    expect(verdicts({ recipients, final: null, failure: null })).toEqual({ 'a@x': 'error', 'b@x': 'retry' });
  });

  test('a refused recipient stays refused when the body then fails or is uncertain', () => {
    const recipients = [recipient('a@x', true, 451), recipient('b@x', false, 550)];
    const temporary = new SmtpFailure({ step: 'final', code: 451, bodyStarted: true });
    expect(verdicts({ recipients, final: null, failure: temporary })).toEqual({
      'a@x': 'retry',
      'b@x': 'error',
    });
    const lost = new SmtpFailure({ step: 'body', bodyStarted: true });
    expect(verdicts({ recipients, final: null, failure: lost })).toEqual({
      'a@x': 'uncertain',
      'b@x': 'error',
    });
  });

  test('a recipient without any answer shares the fate of the transaction', () => {
    const lost = new SmtpFailure({ step: 'mail', causeCode: 'ECONNRESET' });
    const recipients = [recipient('a@x', false, null)];
    expect(verdicts({ recipients, final: null, failure: lost })).toEqual({ 'a@x': 'retry' });
  });
});

describe('reading a reply', () => {
  test('joins the lines and finds the enhanced code', () => {
    expect(parseReply('550-5.1.1 no such user\n550 5.1.1 here')).toEqual({
      code: 550,
      enhanced: '5.1.1',
      reply: '550 5.1.1 no such user here',
    });
    expect(parseReply('250 OK')).toEqual({ code: 250, enhanced: null, reply: '250 OK' });
  });

  test('that contradicts itself has no code', () => {
    expect(parseReply('250-fine\n550 not fine').code).toBeNull();
    expect(parseReply('hello').code).toBeNull();
    expect(parseReply('2500 x').code).toBeNull();
  });

  test('ESC, OSC and bidi characters of a server reply do not reach a terminal', () => {
    const { reply: text } = parseReply('550 \u001b]0;owned\u0007\u001b[31mred\u202egnp\u200b\u0000\rend');
    expect(text).toBe('550 ]0;owned [31mred gnp end');
    expect(parseReply(`550 ${'x'.repeat(10_000)}`).reply).toHaveLength(MAX_REPLY_LENGTH);
  });
});
