import { describe, expect, test } from 'vitest';
import { SmtpFailure, type SmtpStep } from '../../src/core/smtp-outcome.js';
import { explainFailure } from '../../src/delivery/explain-failure.js';

const address = { host: 'smtp.example.com', port: 587 };
const explain = (step: SmtpStep, causeCode: string | null, code: number | null = null, reply = '') =>
  explainFailure(new SmtpFailure({ step, causeCode, code, reply }), address);

describe('a failure explained', () => {
  test.each([
    ['dns', 'ENOTFOUND', 'The name smtp.example.com cannot be resolved (ENOTFOUND); check'],
    ['connect', 'ECONNREFUSED', 'Nothing accepts connections at smtp.example.com:587 (connection refused)'],
    ['connect', 'ETIMEDOUT', 'No connection to smtp.example.com:587 in time'],
    ['connect', 'ENETUNREACH', 'No connection to smtp.example.com:587 (ENETUNREACH)'],
    [
      'tls',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'is signed by a CA this machine does not trust; give its certificate with --tls-ca FILE.',
    ],
    [
      'tls',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'is signed by a CA this machine does not trust; give its certificate with --tls-ca FILE.',
    ],
    ['tls', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'is self-signed and not trusted by this machine'],
    ['tls', 'CERT_HAS_EXPIRED', 'The certificate of smtp.example.com:587 has expired'],
    ['tls', 'CERT_NOT_YET_VALID', 'is not valid yet; check the clocks'],
    ['tls', 'ERR_TLS_CERT_ALTNAME_INVALID', 'is not for smtp.example.com'],
    ['tls', 'ERR_SSL_WRONG_VERSION_NUMBER', 'does not speak TLS from the first byte; use --tls starttls'],
    ['tls', 'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION', 'does not speak TLS 1.2 or newer'],
    ['tls', 'ECONNRESET', 'The TLS handshake with smtp.example.com:587 failed (ECONNRESET).'],
    [
      'greeting',
      'ETIMEDOUT',
      'sent no SMTP greeting in time. Check the port; if it expects TLS from the first byte',
    ],
    ['greeting', 'ECONNECTION', 'closed without an SMTP greeting.'],
    [
      'auth',
      'AUTH_NOT_OFFERED',
      'offers no login (AUTH PLAIN, LOGIN or CRAM-MD5), yet the account has a user; nothing was sent.',
    ],
    ['auth', 'CREDENTIALS_INCOMPLETE', 'set both or none'],
    ['auth', 'ECONNRESET', 'ended the connection during the login'],
    ['mail', 'ADDRESS_INVALID', 'the message was not offered'],
    ['mail', 'MESSAGE_TOO_LARGE', 'larger than smtp.example.com:587 accepts'],
    ['mail', 'SMTPUTF8_REQUIRED', 'does not offer SMTPUTF8'],
    ['rcpt', 'ECONNRESET', 'ended before the message was handed over'],
    ['connect', 'ABORT_ERR', 'was stopped before it was done'],
  ] as const)('%s %s', (step, cause, sentence) => {
    expect(explain(step, cause)).toContain(sentence);
  });

  test('a server without STARTTLS: what happened, and both ways out', () => {
    expect(explain('starttls', 'ETLS', 502, '502 what?')).toBe(
      'smtp.example.com:587 offers no STARTTLS; nothing was sent. Use --tls ssl if it has a port for TLS ' +
        '(often 465), or --tls none only on a network you trust.',
    );
  });

  test('a reply is quoted', () => {
    expect(explain('auth', 'EAUTH', 535, '535 5.7.8 no')).toBe(
      'smtp.example.com:587 refused the login: "535 5.7.8 no". Check user and password.',
    );
    expect(explain('greeting', 'EPROTOCOL', null, 'HTTP/1.1 400')).toContain(
      'does not speak SMTP: "HTTP/1.1 400".',
    );
    expect(explain('greeting', 'EPROTOCOL', 554, '554 no')).toContain('refused the connection: "554 no".');
    expect(explain('mail', null, 550, '550 no')).toBe('smtp.example.com:587 refused the sender: "550 no".');
  });

  test('an uncertain end says that it is uncertain', () => {
    const failure = new SmtpFailure({ step: 'body', causeCode: 'ECONNRESET', bodyStarted: true });
    expect(explainFailure(failure, address)).toContain('it may or may not have been accepted');
  });
});
