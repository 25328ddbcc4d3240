import { readFileSync, statSync, writeFileSync } from 'node:fs';
import Database from 'better-sqlite3';
import { beforeEach, expect, test } from 'vitest';
import { Keyring } from '../../src/crypto/keyring.js';
import { keyIdOf } from '../../src/crypto/secret-box.js';
import { archiveAudit, writeAudit } from '../../src/services/archive-audit.js';
import { beginAuditChain } from '../../src/services/audit-chain.js';
import { verifyAudit } from '../../src/services/verify-audit.js';
import { useCleanup } from '../support/cleanup.js';
import { openTestStore, type TestStore } from '../support/store.js';
import { by } from '../support/temp-store.js';

const closing = useCleanup();
let opened: TestStore;
let raw: Database.Database;
let start = 0;
beforeEach(async () => {
  opened = closing(await openTestStore(), (it) => it.close());
  raw = closing(new Database(opened.path), (it) => it.close());
  start = opened.clock.now;
  await write(1, 5);
});

/** An event at each of these milliseconds. */
async function write(from: number, to: number): Promise<void> {
  for (let n = from; n <= to; n++) await opened.store.settings.set('port', String(n), by(start + n));
  opened.clock.now = start + to;
}
/** As if the whole trail had been written out before. */
const EVERYTHING = Number.MAX_SAFE_INTEGER;
const verify = (head?: string) => verifyAudit(opened.store, opened.keyring, head);
const checkpoint = () =>
  raw.prepare("SELECT value FROM settings WHERE name = 'audit_checkpoint'").pluck().get() as string;
const putCheckpoint = (text: string) =>
  raw.prepare("UPDATE settings SET value = ? WHERE name = 'audit_checkpoint'").run(text);

test('old records leave the database, a signed checkpoint stands for them, and the rest verifies, also after more', async () => {
  const all = await opened.store.audit.read(0, 100);
  const archived = await archiveAudit(opened.context, start + 3, EVERYTHING);
  expect(archived).toBe(all.filter(({ at }) => at <= start + 3).length);
  expect((await opened.store.audit.read(0, 1))[0]).toMatchObject({ at: start + 4 });
  expect(JSON.parse(checkpoint())).toMatchObject({ seq: archived, hash: all[archived - 1]?.hash });
  expect(await verify()).toMatchObject({ ok: true, problem: null });
  await write(6, 9);
  await archiveAudit(opened.context, start + 7, EVERYTHING);
  await write(10, 11);
  expect(await verify()).toMatchObject({ ok: true, problem: null });
  expect(await archiveAudit(opened.context, start + 7, EVERYTHING)).toBe(0);
});

test('that everything was archived, by whom and how many, begins what follows', async () => {
  const count = await archiveAudit(opened.context, start + 100, EVERYTHING);
  expect(await opened.store.audit.read(0, 10)).toMatchObject([
    {
      seq: count + 1,
      event: 'audit.archived',
      actor: 'os:test',
      detail: expect.stringContaining(`"count":${count}`),
    },
  ]);
  expect(await verify()).toMatchObject({ ok: true, checked: 1 });
});

test('a checkpoint that was edited, removed, or of an earlier archive is found', async () => {
  await archiveAudit(opened.context, start + 2, EVERYTHING);
  const early = checkpoint();
  await archiveAudit(opened.context, start + 4, EVERYTHING);
  const genuine = checkpoint();
  const { mac, ...rest } = JSON.parse(genuine) as Record<string, unknown>;
  for (const forged of [
    early,
    JSON.stringify({ ...rest, mac: '0'.repeat(64) }),
    JSON.stringify({ ...rest, seq: 3, mac }),
    JSON.stringify({ ...rest, hash: '0'.repeat(64), mac }),
    JSON.stringify({ ...rest, chain: 9, mac }),
    'no JSON',
    'null',
    '{}',
  ]) {
    putCheckpoint(forged);
    expect((await verify()).ok).toBe(false);
  }
  putCheckpoint(genuine);
  expect((await verify()).ok).toBe(true);
  raw.exec("DELETE FROM settings WHERE name = 'audit_checkpoint'");
  expect((await verify()).ok).toBe(false);
});

test('what was not written out is not taken, however old it is', async () => {
  expect(await archiveAudit(opened.context, start + 100, 2)).toBe(2);
  expect((await opened.store.audit.read(0, 1))[0]?.seq).toBe(3);
});

test('records after the checkpoint that are cut out are found', async () => {
  await archiveAudit(opened.context, start + 2, EVERYTHING);
  raw.exec('DELETE FROM audit_events WHERE seq = (SELECT MIN(seq) FROM audit_events)');
  expect((await verify()).problem).toMatch(/is missing/);
});

test('a head from before the archive still proves that nothing was cut since', async () => {
  const { seq, hash } = (await opened.store.audit.read(0, 3)).at(-1) ?? { seq: 0, hash: '' };
  await archiveAudit(opened.context, start + 4, EVERYTHING);
  expect((await verify(`${seq}:${hash}`)).problem).toBeNull();
});

test('a trail that was tampered with is not archived: no checkpoint vouches for it', async () => {
  raw.exec("UPDATE audit_events SET actor = 'os:mallory' WHERE seq = 3");
  await expect(archiveAudit(opened.context, start + 4, EVERYTHING)).rejects.toThrow(
    expect.objectContaining({ code: 'audit_broken' }),
  );
  expect(checkpoint()).toBeUndefined();
  // A chain that is known to be broken ends, and what is in it can go with a later archive.
  await beginAuditChain(opened.store, opened.keyring, by(start + 6), 'The trail was broken.');
  await write(7, 9);
  await archiveAudit(opened.context, start + 8, EVERYTHING);
  expect((await verify()).problem).toBeNull();
});

test('a checkpoint of a chain whose key was lost later does not spoil the new chain', async () => {
  await archiveAudit(opened.context, start + 2, EVERYTHING);
  const key = Buffer.alloc(32, 5);
  const ring = new Keyring([{ id: keyIdOf(key), key, source: 'test', kind: 'environment' }], keyIdOf(key));
  await beginAuditChain(opened.store, ring, by(start + 6), 'lost');
  expect(await verifyAudit(opened.store, ring)).toMatchObject({ ok: true, checked: 1, problem: null });
});

test('is written to a new private file whole, and never over one that is there', async () => {
  const umask = process.umask(0);
  closing(umask, (before) => process.umask(before));
  const path = `${opened.path}.jsonl`;
  const { written, lastSeq } = await writeAudit(opened.context, path);
  expect(lastSeq).toBe((await opened.store.audit.head())?.seq);
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  expect(lines).toHaveLength(written);
  expect(written).toBe((await opened.store.audit.head())?.seq);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  writeFileSync(path, 'mine');
  await expect(writeAudit(opened.context, path)).rejects.toThrow(
    expect.objectContaining({ code: 'already_exists' }),
  );
  expect(readFileSync(path, 'utf8')).toBe('mine');
});
