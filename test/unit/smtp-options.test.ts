import { describe, expect, test } from 'vitest';
import { MailProxyError } from '../../src/core/errors.js';
import { SMTP_TIMEOUTS, type SmtpEndpoint, smtpConnectionOptions } from '../../src/delivery/smtp-options.js';

const endpoint: SmtpEndpoint = {
  host: 'smtp.example.com',
  port: 587,
  tls: 'starttls',
  tlsVerify: true,
  tlsCa: null,
  user: 'u',
  password: 'top secret',
};

describe('connection options', () => {
  test.each([
    ['none', { secure: false, requireTLS: false, ignoreTLS: true }],
    ['starttls', { secure: false, requireTLS: true, ignoreTLS: false }],
    ['ssl', { secure: true, requireTLS: false, ignoreTLS: false }],
  ] as const)('%s is exactly that mode, never an automatic one', (tls, expected) => {
    // Port 465 must not turn plain text into TLS by itself, nor any other port TLS into plain text.
    for (const port of [25, 465, 587]) {
      const options = smtpConnectionOptions({ ...endpoint, tls, port });
      expect(options).toMatchObject({ ...expected, port, opportunisticTLS: false });
    }
  });

  test('TLS 1.2 is the least and the certificate is checked unless the account says otherwise', () => {
    expect(smtpConnectionOptions(endpoint).tls).toEqual({
      minVersion: 'TLSv1.2',
      rejectUnauthorized: true,
      servername: 'smtp.example.com',
    });
    const lax = smtpConnectionOptions({ ...endpoint, tlsVerify: false, tlsCa: 'PEM' });
    expect(lax.tls).toMatchObject({ rejectUnauthorized: false, ca: 'PEM', minVersion: 'TLSv1.2' });
  });

  test.each(['192.0.2.1', '2001:db8::1', '[2001:db8::1]'])('an address (%s) is no server name', (host) => {
    const options = smtpConnectionOptions({ ...endpoint, host });
    expect(options.tls).not.toHaveProperty('servername');
    expect(options.host).toBe(host.replace(/[[\]]/g, ''));
  });

  test('a server may take the ten minutes after the final dot that RFC 5321 allows: cut short, mail comes twice', () => {
    expect(smtpConnectionOptions(endpoint).socketTimeout).toBeGreaterThan(10 * 60_000);
    expect(SMTP_TIMEOUTS.send).toBeGreaterThan(SMTP_TIMEOUTS.socket);
  });

  test('nothing is logged and no credential is among them', () => {
    const options = smtpConnectionOptions(endpoint);
    expect(options).toMatchObject({ logger: false, debug: false, transactionLog: false });
    expect(JSON.stringify(options)).not.toContain('secret');
  });

  test.each(['a\r\nMAIL FROM:<x@y>', 'a b', '', 'ü.example', 'a>'])(
    'the EHLO name %j is refused',
    (hello) => {
      expect(() => smtpConnectionOptions(endpoint, hello)).toThrow(MailProxyError);
    },
  );

  test('an EHLO name may be a host name or an address literal', () => {
    expect(smtpConnectionOptions(endpoint, 'mx.example.com').name).toBe('mx.example.com');
    expect(smtpConnectionOptions(endpoint, '[IPv6:2001:db8::1]').name).toBe('[IPv6:2001:db8::1]');
  });
});
