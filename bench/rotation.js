// What putting every secret down under a new key costs, as a ratio to opening and sealing as many with nothing around it.
// In process, with no daemon running; the two take turns.
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { passwordAdditionalData } from '../dist/crypto/binding.js';
import { Keyring } from '../dist/crypto/keyring.js';
import { keyIdOf, openSecret, sealSecret } from '../dist/crypto/secret-box.js';
import { beginAuditChain } from '../dist/services/audit-chain.js';
import { reencryptAll } from '../dist/services/reencrypt.js';
import { tenantScope } from '../dist/store/scope.js';
import { openStoreAndMigrate } from '../dist/store/store.js';
import { median } from './statistics.js';

const CREDENTIALS = 10_000;
const ROUNDS = 7;
const WANTED = 5;

const BINDING = {
  host: 'smtp.example.com',
  port: 587,
  tls: 'starttls',
  user: 'u',
  tlsVerify: true,
  tlsCa: null,
};
const PLAIN_ACCOUNT = {
  ...BINDING,
  limitMinute: null,
  limitHour: null,
  limitDay: null,
  limitBehavior: 'defer',
  maxConnections: 5,
  fromAddress: null,
  isDefault: false,
  setBy: 'operator',
  verifiedTlsAt: null,
};

export async function rotation(print) {
  const directory = mkdtempSync(join(tmpdir(), 'mail-proxy-bench-'));
  const { store } = await openStoreAndMigrate(join(directory, 'server.db'));
  const keys = [randomBytes(32), randomBytes(32)].map((key) => ({
    id: keyIdOf(key),
    key,
    source: 'bench',
    kind: 'previous',
  }));
  const ringFor = (primary) => new Keyring(keys, keys[primary].id);
  const by = { actor: { kind: 'os-user', name: 'bench' }, now: Date.now() };
  try {
    await beginAuditChain(store, ringFor(0), by, undefined);
    await fill(store, ringFor(0), by);
    const times = { rotation: [], plain: [] };
    for (let round = 0; round < ROUNDS; round++) {
      const primary = (round + 1) % 2;
      times.plain.push(await timed(() => openAndSeal(keys[0].key)));
      times.rotation.push(await timed(() => reencryptAll(store, ringFor(primary), () => undefined)));
    }
    const ratio = median(times.rotation.map((time, round) => time / times.plain[round]));
    print(
      `${CREDENTIALS} credentials: ${median(times.rotation).toFixed(0)} ms, ${ratio.toFixed(2)} times as many plain open-and-seal operations (at most ${WANTED})`,
    );
    return {
      credentials: CREDENTIALS,
      rotationMs: median(times.rotation),
      plainMs: median(times.plain),
      ratio,
      wanted: WANTED,
    };
  } finally {
    await store.close();
    rmSync(directory, { recursive: true });
  }
}

async function fill(store, ring, by) {
  const scope = tenantScope('acme');
  await store.tenants.put(scope, by, () => ({
    tenant: {
      name: 'acme',
      active: true,
      clientBaseUrl: null,
      clientSyncPath: '/s',
      clientAttachmentPath: '/a',
      clientAuthMethod: 'none',
      clientAuthUser: null,
      clientAuthSecret: null,
      webhookSecret: null,
      limitHourly: null,
      limitDaily: null,
      onUncertain: 'retry',
      useGlobalSync: false,
      attachmentRoots: [],
    },
  }));
  const ids = Array.from({ length: CREDENTIALS }, (_, i) => `a${i}`);
  await Promise.all(
    ids.map((id) =>
      store.accounts.put(scope, id, by, () => ({
        ...PLAIN_ACCOUNT,
        password: ring.seal('a password', passwordAdditionalData('acme', id, BINDING)),
      })),
    ),
  );
}

function openAndSeal(key) {
  const bound = passwordAdditionalData('acme', 'a1', BINDING);
  let value = sealSecret(key, 'a password', bound);
  for (let i = 0; i < CREDENTIALS; i++) value = sealSecret(key, openSecret(key, value, bound), bound);
}

async function timed(work) {
  const began = process.hrtime.bigint();
  await work();
  return Number(process.hrtime.bigint() - began) / 1e6;
}
