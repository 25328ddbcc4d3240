import { expect, test } from 'vitest';
import { AUDIT_EVENT_NAMES, actorAddress, actorName, auditSentence } from '../../src/core/audit.js';
import { auditToWire } from '../../src/core/wire.js';

const record = (event: (typeof AUDIT_EVENT_NAMES)[number], tenantId: string | null = 'acme') => ({
  event,
  tenantId,
  subject: 'thing',
  detail: '{"count":7}',
});

test.each(AUDIT_EVENT_NAMES)('%s is told in one whole line, with nothing undefined in it', (event) => {
  for (const tenantId of ['acme', null]) {
    expect(auditSentence(record(event, tenantId))).toMatch(/^[A-Z0-9](?!.*(undefined|\[object|\n)).+$/);
  }
});

test('in the manner of the security document', () => {
  expect(auditSentence(record('account.created'))).toBe("Account 'thing' created for tenant 'acme'");
  expect(auditSentence(record('tenant.deleted'))).toBe("Tenant 'acme' deleted");
  expect(auditSentence(record('auth.failed', null))).toBe('API auth failed: invalid token');
  expect(auditSentence(record('auth.failed.summary', null))).toContain('7');
});

test('actors are named so that no two are taken for one another', () => {
  const actors = [
    { kind: 'os-user', name: 'admin' },
    { kind: 'admin-token', address: '192.0.2.1' },
    { kind: 'tenant-token', tenantId: 'a', tokenName: 'b', address: '' },
    { kind: 'anonymous', address: '192.0.2.2' },
    { kind: 'daemon' },
  ] as const;
  expect(actors.map(actorName)).toEqual(['os:admin', 'admin', 'tenant:a/b', 'anonymous', 'daemon']);
  expect(actors.map(actorAddress)).toEqual([null, '192.0.2.1', null, '192.0.2.2', null]);
});

test('a row that was edited by hand is told all the same: it must not silence what comes after', () => {
  for (const detail of ['', 'no JSON', 'null', '[1]', '7']) {
    const edited = { ...record('tenant.created'), detail };
    expect(auditSentence(edited)).toBe("Tenant 'acme' created");
    const wire = auditToWire({ ...edited, seq: 1, chain: 1, at: 9e15, actor: 'x', address: null, hash: '' });
    expect(wire).toMatchObject({ created_at: '9000000000000000', detail: { unreadable: detail } });
  }
  expect(auditSentence({ ...record('tenant.created'), event: 'made.up' as never })).toContain("'made.up'");
});
