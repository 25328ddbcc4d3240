import { describe, expect, test } from 'vitest';
import { type ProbeReport, probeAccount } from '../../src/delivery/probe.js';
import type { SmtpEndpoint } from '../../src/delivery/smtp-options.js';
import { useCleanup } from '../support/cleanup.js';
import { dialogue, startRawServer } from '../support/raw-server.js';
import { type SmtpServerSettings, startSmtpServer } from '../support/smtp-servers.js';

const closing = useCleanup();
const auth = { user: 'robot', password: 'correct horse' };
const statuses = ({ steps }: ProbeReport) => steps.map(({ name, status }) => `${name} ${status}`);
const failed = ({ steps }: ProbeReport) => steps.find(({ status }) => status === 'failed')?.sentence;

async function serve(settings: SmtpServerSettings) {
  return closing(await startSmtpServer(settings), (server) => server.close());
}

describe('probing an account', () => {
  test.each(['starttls', 'ssl'] as const)('finds all well over %s, and sends nothing', async (tls) => {
    const server = await serve({ tls, auth });
    const report = await probeAccount(server.endpoint());
    expect(report.ok).toBe(true);
    expect(statuses(report)).toEqual(['connect ok', 'tls ok', 'login ok']);
    expect(server.seen).toMatchObject({ auth: ['robot'], mail: [], rcpt: [], connections: 1 });
  });

  test('skips TLS and login where the account has none', async () => {
    const server = await serve({ tls: 'none' });
    expect(statuses(await probeAccount(server.endpoint()))).toEqual([
      'connect ok',
      'tls skipped',
      'login skipped',
    ]);
  });

  test('says so when the certificate was not checked', async () => {
    const server = await serve({ tls: 'ssl', certificate: 'wrongHost' });
    const report = await probeAccount(server.endpoint({ tlsVerify: false }));
    expect(report.ok).toBe(true);
    expect(report.steps[1]?.sentence).toContain('the certificate was not checked');
  });

  test.each(['starttls', 'ssl'] as const)('names a certificate it cannot trust over %s', async (tls) => {
    const server = await serve({ tls, auth, certificate: 'unknownCa' });
    const report = await probeAccount(server.endpoint());
    expect(report.ok).toBe(false);
    expect(statuses(report)).toEqual(['connect ok', 'tls failed', 'login skipped']);
    expect(failed(report)).toContain('--tls-ca FILE');
  });

  test('names a refused login, without the password', async () => {
    const server = await serve({ tls: 'ssl', auth });
    const report = await probeAccount(server.endpoint({ password: 'hunter2hunter2' }));
    expect(statuses(report)).toEqual(['connect ok', 'tls ok', 'login failed']);
    expect(failed(report)).toContain('refused the login: "535 5.7.8 wrong user or password".');
    expect(JSON.stringify(report)).not.toContain('hunter2');
  });

  test('names a server that is not there, without STARTTLS, or unwilling', async () => {
    const probeRaw = async (steps: Parameters<typeof dialogue>[0], changes: Partial<SmtpEndpoint>) => {
      const server = closing(await startRawServer(dialogue(steps)), (raw) => raw.close());
      return await probeAccount(server.endpoint(changes));
    };
    const bare = await probeRaw({}, { tls: 'starttls' });
    expect(statuses(bare)).toEqual(['connect ok', 'tls failed', 'login skipped']);
    expect(failed(bare)).toContain('offers no STARTTLS; nothing was sent.');
    const unwilling = await probeRaw({ greeting: '554 no service' }, {});
    expect(statuses(unwilling)).toEqual(['connect failed', 'tls skipped', 'login skipped']);
    expect(failed(unwilling)).toContain('554 no service');
    const gone = await startRawServer(dialogue());
    await gone.close();
    expect(failed(await probeAccount(gone.endpoint()))).toContain('connection refused');
  });
});
