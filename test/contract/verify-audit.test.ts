import { randomBytes } from 'node:crypto';
import Database from 'better-sqlite3';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { Keyring } from '../../src/crypto/keyring.js';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { beginAuditChain } from '../../src/services/audit-chain.js';
import { verifyAudit } from '../../src/services/verify-audit.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestStore, type TestStore } from '../support/store.js';
import { by, NOON } from '../support/temp-store.js';

const closing = useCleanup();
let opened: TestStore;
let raw: Database.Database;
beforeEach(async () => {
  opened = closing(await openTestStore(), (it) => it.close());
  raw = closing(new Database(opened.path), (it) => it.close());
  await opened.addTenant('acme', 'acme-token');
  for (let n = 1; n <= 5; n++) await opened.store.settings.set('port', String(n), by(NOON + n));
});

const verify = (head?: string) => verifyAudit(opened.store, opened.keyring, head);
const headNow = async () => {
  const { seq = 0, hash = '' } = (await opened.store.audit.head()) ?? {};
  return `${seq}:${hash}`;
};
const sql = (text: string, ...values: unknown[]) => raw.prepare(text).run(...values);
const settings = (from: number, to: number) => async () => {
  for (let n = from; n <= to; n++) await opened.store.settings.set('port', String(n), by(NOON + n));
};

test('a trail that nobody touched verifies, also with a head from long ago, in either form', async () => {
  const early = await headNow();
  await settings(6, 8)();
  const { ok, problem, checked, unverifiable, head } = await verify();
  expect({ ok, problem, unverifiable }).toEqual({ ok: true, problem: null, unverifiable: 0 });
  expect(checked).toBe((await opened.store.audit.head())?.seq);
  expect(head).toBe(await headNow());
  for (const given of [early, early.toUpperCase(), early.replace(/^\d+:/, '')]) {
    expect((await verify(given)).problem).toBeNull();
  }
});

describe('what a database writer does to one record is found and its place named', () => {
  test.each([
    ['seq', 'UPDATE audit_events SET seq = 100 WHERE seq = 4'],
    ['chain', 'UPDATE audit_events SET chain = 2 WHERE seq = 4'],
    ['chain, downwards', 'UPDATE audit_events SET chain = 0 WHERE seq = 4'],
    ['at', 'UPDATE audit_events SET at = at + 1 WHERE seq = 4'],
    ['event', "UPDATE audit_events SET event = 'tenant.updated' WHERE seq = 4"],
    ['actor', "UPDATE audit_events SET actor = 'os:mallory' WHERE seq = 4"],
    ['address', "UPDATE audit_events SET address = '192.0.2.1' WHERE seq = 4"],
    ['address to empty', "UPDATE audit_events SET address = '' WHERE seq = 4"],
    ['tenant', "UPDATE audit_events SET tenant_id = 'globex' WHERE seq = 4"],
    ['subject', "UPDATE audit_events SET subject = 'x' WHERE seq = 4"],
    ['detail', "UPDATE audit_events SET detail = detail || ' ' WHERE seq = 4"],
    ['hash', "UPDATE audit_events SET hash = replace(hash, substr(hash, 1, 1), 'z') WHERE seq = 4"],
  ])('%s', async (_column, statement) => {
    sql(statement);
    const { ok, problem } = await verify();
    expect({ ok, problem }).toEqual({ ok: false, problem: expect.stringMatching(/\b[45]\b/) });
  });

  test('the columns of the table are those, and no other', () => {
    const columns = raw.prepare("SELECT name FROM pragma_table_info('audit_events')").pluck().all();
    expect(columns).toEqual([
      'seq',
      'chain',
      'at',
      'event',
      'actor',
      'address',
      'tenant_id',
      'subject',
      'detail',
      'hash',
    ]);
  });
});

describe('also found', () => {
  const cases: ReadonlyArray<[string, () => void]> = [
    ['a record deleted', () => sql('DELETE FROM audit_events WHERE seq = 4')],
    ['the first record deleted', () => sql('DELETE FROM audit_events WHERE seq = 1')],
    [
      'a record deleted and the rest moved up',
      () => {
        sql('DELETE FROM audit_events WHERE seq = 4');
        sql('UPDATE audit_events SET seq = -(seq - 1) WHERE seq > 4');
        sql('UPDATE audit_events SET seq = -seq WHERE seq < 0');
      },
    ],
    [
      'a record inserted at the end',
      () =>
        sql(
          'INSERT INTO audit_events SELECT MAX(seq) + 1, chain, at, event, actor, address, tenant_id, subject, detail, hash FROM audit_events',
        ),
    ],
    [
      'a record inserted in the middle',
      () => {
        sql('UPDATE audit_events SET seq = -(seq + 1) WHERE seq >= 4');
        sql('UPDATE audit_events SET seq = -seq WHERE seq < 0');
        sql(
          'INSERT INTO audit_events SELECT 4, chain, at, event, actor, address, tenant_id, subject, detail, hash FROM audit_events WHERE seq = 3',
        );
      },
    ],
    [
      'two records swapped',
      () => {
        sql('UPDATE audit_events SET seq = 1000 WHERE seq = 4');
        sql('UPDATE audit_events SET seq = 4 WHERE seq = 5');
        sql('UPDATE audit_events SET seq = 5 WHERE seq = 1000');
      },
    ],
    ['all records deleted', () => sql('DELETE FROM audit_events')],
    [
      'all records and all keys deleted',
      () => {
        sql('DELETE FROM audit_events');
        sql('DELETE FROM audit_keys');
      },
    ],
    [
      'the key of the chain deleted, so that nothing can be verified, and a record edited',
      () => {
        sql("UPDATE audit_events SET actor = 'os:mallory' WHERE seq = 4");
        sql('DELETE FROM audit_keys');
      },
    ],
    [
      'a chain of an attacker appended',
      () =>
        sql(
          `INSERT INTO audit_events SELECT MAX(seq) + 1, 2, 0, 'audit.started', 'os:m', NULL, NULL, '2', '{}', '${'0'.repeat(64)}' FROM audit_events`,
        ),
    ],
  ];
  test.each(cases)('%s', async (_what, tamper) => {
    tamper();
    expect((await verify()).ok).toBe(false);
  });
});

describe('with a head that was shipped away', () => {
  test('the tail cut is found, also when the trail has grown again since', async () => {
    const head = await headNow();
    sql('DELETE FROM audit_events WHERE seq > 4');
    expect((await verify()).ok).toBe(true);
    expect((await verify(head)).problem).toMatch(/tail was cut/);
    await settings(10, 20)();
    expect((await verify()).ok).toBe(true);
    expect((await verify(head)).problem).toMatch(/tail was cut/);
  });

  test('an older state of the whole database put back is found', async () => {
    const copy = `${opened.path}.old`;
    await raw.backup(copy);
    await settings(6, 8)();
    const head = await headNow();
    const old = closing(new Database(copy), (it) => it.close());
    for (const table of ['audit_events', 'settings']) {
      sql(`DELETE FROM ${table}`);
      for (const row of old.prepare(`SELECT * FROM ${table}`).all() as Array<Record<string, unknown>>) {
        const values = Object.values(row);
        sql(`INSERT INTO ${table} VALUES (${values.map(() => '?').join(', ')})`, ...values);
      }
    }
    expect((await verify()).ok).toBe(true);
    expect((await verify(head)).ok).toBe(false);
  });

  test('a hash that stands at another place is not it', async () => {
    const head = await headNow();
    expect((await verify(head.replace(/^\d+/, '3'))).ok).toBe(false);
  });
});

test('whatever an attacker without the key changes, it is found', async () => {
  const columns = [
    'seq',
    'chain',
    'at',
    'event',
    'actor',
    'address',
    'tenant_id',
    'subject',
    'detail',
    'hash',
  ];
  const rows = raw.prepare('SELECT * FROM audit_events ORDER BY seq').all() as Array<Record<string, unknown>>;
  const put = (all: typeof rows) => {
    sql('DELETE FROM audit_events');
    for (const row of all)
      sql(
        `INSERT INTO audit_events VALUES (${columns.map(() => '?').join(', ')})`,
        ...columns.map((name) => row[name]),
      );
  };
  const last = rows.length - 1;
  const edit = fc.record({
    kind: fc.constantFrom('delete', 'swap', 'duplicate', 'copy-cell'),
    at: fc.integer({ min: 0, max: last }),
    other: fc.integer({ min: 0, max: last }),
    column: fc.constantFrom(...columns.filter((name) => name !== 'seq')),
  });
  const head = await headNow();
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 4 }), async (edits) => {
      const changed = rows.map((row) => ({ ...row }));
      for (const { kind, at, other, column } of edits) {
        const [row, source] = [changed[at], changed[other]];
        if (kind === 'delete') changed.splice(at, 1);
        else if (row === undefined || source === undefined) continue;
        else if (kind === 'copy-cell') row[column] = source[column];
        else if (kind === 'duplicate') changed.splice(at, 0, { ...source });
        else [changed[at], changed[other]] = [source, row];
      }
      const numbered = changed.map((row, index) => ({ ...row, seq: index + 1 }));
      put(numbered);
      expect((await verify(head)).ok).toBe(JSON.stringify(numbered) === JSON.stringify(rows));
    }),
    { numRuns: 60 },
  );
});

describe('after a lost key', () => {
  const ringOf = (key: Buffer) =>
    new Keyring([{ id: keyIdOf(key), key, source: 'test', kind: 'environment' }], keyIdOf(key));
  async function restart(): Promise<Keyring> {
    const ring = ringOf(randomBytes(32));
    await beginAuditChain(opened.store, ring, by(NOON), 'The key was lost.');
    return ring;
  }

  test('a new, marked chain verifies, and the old records are told as unverifiable', async () => {
    const old = (await opened.store.audit.head())?.seq;
    const ring = await restart();
    await opened.store.settings.set('port', '9', by(NOON));
    expect(await verifyAudit(opened.store, ring)).toMatchObject({
      ok: true,
      checked: 2,
      unverifiable: old,
      problem: null,
    });
    const [started] = await opened.store.audit.list({ event: 'audit.started' }, { limit: 1 });
    expect(started).toMatchObject({ chain: 2, detail: expect.stringContaining('The key was lost.') });
  });

  test('with both keys at hand both chains verify', async () => {
    const ring = await restart();
    const both = new Keyring([...ring.keys, ...opened.keyring.keys], ring.primaryId);
    expect(await verifyAudit(opened.store, both)).toMatchObject({ ok: true, unverifiable: 0 });
    sql("UPDATE audit_events SET actor = 'x' WHERE seq = 2");
    expect((await verifyAudit(opened.store, both)).problem).toMatch(/Record 2 /);
  });

  test('an old chain whose key was taken out of the database, or edited there, is no lost key', async () => {
    const ring = await restart();
    const both = new Keyring([...ring.keys, ...opened.keyring.keys], ring.primaryId);
    sql("UPDATE audit_keys SET value = 'ENC:AAAA' WHERE chain = 1");
    expect((await verifyAudit(opened.store, both)).problem).toMatch(/removed or edited/);
    sql('DELETE FROM audit_keys WHERE chain = 1');
    expect((await verifyAudit(opened.store, ring)).problem).toMatch(/removed or edited/);
  });

  test('an old chain whose key was given another key id is no lost key either: no later chain says so', async () => {
    await beginAuditChain(opened.store, opened.keyring, by(NOON), 'asked for');
    sql("UPDATE audit_keys SET key_id = '0000000000000000' WHERE chain = 1");
    expect((await verifyAudit(opened.store, opened.keyring)).problem).toMatch(/removed or edited/);
  });

  test('a head that was cut off is not found in a record that nobody can verify', async () => {
    const ring = await restart();
    await opened.store.settings.set('port', '9', by(NOON));
    const head = await headNow();
    const hash = head.replace(/^\d+:/, '');
    sql('DELETE FROM audit_events WHERE seq = (SELECT MAX(seq) FROM audit_events)');
    sql('UPDATE audit_events SET hash = ? WHERE seq = 3', hash);
    for (const given of [head, hash]) {
      expect((await verifyAudit(opened.store, ring, given)).problem).toMatch(/tail was cut/);
    }
  });

  test('the new chain cannot be cut away to show the old one only', async () => {
    const ring = await restart();
    sql('DELETE FROM audit_events WHERE chain = 2');
    expect((await verifyAudit(opened.store, ring)).ok).toBe(false);
  });
});
