import { type AuditRecord, auditDetail } from '../core/audit.js';
import { MailProxyError } from '../core/errors.js';
import { auditHash, CHAIN_START, checkpointMac } from '../crypto/audit-chain.js';
import type { Keyring } from '../crypto/keyring.js';
import type { Checkpoint } from '../store/audit.js';
import type { Store } from '../store/store.js';
import { openChainKey } from './audit-chain.js';

const STEP = 500;
const MOST_CHAINS = 1000;

/** What a verification of the audit trail found. */
export interface AuditVerification {
  ok: boolean;
  checked: number;
  /** Records of older chains whose key is lost: nobody can say whether they are as they were. */
  unverifiable: number;
  head: string | null;
  /** What is wrong and where; null when nothing is. */
  problem: string | null;
}

/**
 * Walks the whole trail and finds a record that was edited, deleted, inserted or moved.
 *
 * @param expectedHead - A head that was shipped away (`seq:hash` or `hash`): proves that the tail was not cut since, nor an
 * older state put back.
 * @param from - `present-chain` leaves out what older chains hold: they may be known to be broken.
 * @throws MailProxyError `key_missing` when the present chain's key is not at hand.
 */
export async function verifyAudit(
  store: Store,
  keyring: Keyring,
  expectedHead?: string,
  from: 'start' | 'present-chain' = 'start',
): Promise<AuditVerification> {
  const keys = await chainKeys(store, keyring);
  const checkpoint = await store.audit.checkpoint();
  const oldest = from === 'start' ? 0 : Math.max(0, ...keys.keys());
  const walk = new Walk(keys, checkpoint, expectedHead, oldest);
  let problem = walk.checkCheckpoint();
  let after = 0;
  while (problem === null) {
    const records = await store.audit.read(after, STEP);
    if (records.length === 0) break;
    for (const record of records) {
      problem = walk.check(record);
      if (problem !== null) break;
    }
    after = records.at(-1)?.seq ?? after;
  }
  problem ??= walk.checkEnd();
  return {
    ok: problem === null,
    checked: walk.checked,
    unverifiable: walk.unverifiable,
    head: walk.head === undefined ? null : `${walk.head.seq}:${walk.head.hash}`,
    problem,
  };
}

/** Keys of all chains that were begun; `lost` where a later chain says that its key is gone, `broken` where it does not open though nobody said so. */
type ChainKeys = ReadonlyMap<number, Buffer | 'lost' | 'broken'>;

async function chainKeys(store: Store, keyring: Keyring): Promise<ChainKeys> {
  const keys = new Map<number, Buffer | 'lost' | 'broken'>();
  const missing = new Set<number>();
  const chains = await store.audit.chains();
  for (const chain of chains) {
    try {
      keys.set(chain.chain, openChainKey(keyring, chain));
    } catch (error) {
      const isNewest = chain === chains.at(-1);
      if (isNewest || !(error instanceof MailProxyError)) throw error;
      keys.set(chain.chain, 'broken');
      if (error.code === 'key_missing') missing.add(chain.chain);
    }
  }
  // A key may be gone only where a later chain says so in its first record, which the walk verifies like any other.
  for (const record of await store.audit.list({ event: 'audit.started' }, { limit: MOST_CHAINS })) {
    const named: unknown = auditDetail(record).given_up;
    if (!Array.isArray(named) || !(keys.get(record.chain) instanceof Buffer)) continue;
    for (const chain of named) if (missing.has(chain) && chain < record.chain) keys.set(chain, 'lost');
  }
  return keys;
}

/** One pass over the records in order. */
class Walk {
  checked = 0;
  unverifiable = 0;
  head: { chain: number; seq: number; hash: string } | undefined;
  readonly #keys: ChainKeys;
  readonly #checkpoint: Checkpoint | undefined;
  readonly #expected: { seq: number | undefined; hash: string } | undefined;
  readonly #oldest: number;
  #foundExpected = false;

  constructor(
    keys: ChainKeys,
    checkpoint: Checkpoint | undefined,
    expected: string | undefined,
    oldest: number,
  ) {
    this.#keys = keys;
    this.#checkpoint = checkpoint;
    this.#oldest = oldest;
    const [, seq, hash] = /^(?:(\d+):)?(.*)$/.exec(expected?.toLowerCase() ?? '') ?? [];
    if (expected !== undefined) {
      this.#expected = { seq: seq === undefined ? undefined : Number(seq), hash: hash ?? '' };
    }
    this.head = checkpoint;
  }

  checkCheckpoint(): string | null {
    if (this.#checkpoint === undefined) return null;
    const { chain, seq, hash, mac } = this.#checkpoint;
    const key = this.#keys.get(chain);
    // Signed by a chain whose key is lost: it can be told as little as that chain's records.
    if (key === 'lost' || chain < this.#oldest) return null;
    if (key instanceof Buffer && checkpointMac(key, chain, seq, hash) === mac) {
      // A head from before is archived; that the signed place is beyond it proves that nothing was cut since.
      if (this.#expected?.seq !== undefined && this.#expected.seq < seq) this.#foundExpected = true;
      this.#note(this.#checkpoint, true);
      return null;
    }
    return `The checkpoint that stands for the archived records up to ${seq} is not genuine.`;
  }

  check(record: AuditRecord): string | null {
    if (record.chain < this.#oldest) {
      this.head = record;
      return null;
    }
    const expectedSeq = (this.head?.seq ?? 0) + 1;
    if (record.seq !== expectedSeq) {
      return `Record ${expectedSeq} is missing: the next one is ${record.seq}.`;
    }
    const isNewChain = this.head === undefined || this.head.chain !== record.chain;
    if (isNewChain && (record.event !== 'audit.started' || record.chain <= (this.head?.chain ?? 0))) {
      return `Record ${record.seq} claims to belong to another chain (${record.chain}).`;
    }
    const key = this.#keys.get(record.chain);
    // Only a key that is gone makes records unverifiable: one that was taken out of the database, or edited, hides something.
    if (key === undefined || key === 'broken') {
      return `Record ${record.seq} belongs to chain ${record.chain}, whose stored key was removed or edited.`;
    }
    if (key === 'lost') this.unverifiable++;
    else {
      const previous = isNewChain ? CHAIN_START : (this.head?.hash ?? CHAIN_START);
      if (auditHash(key, previous, record) !== record.hash) {
        return `Record ${record.seq} (${record.event}) is not as it was written, or the one before it is not.`;
      }
      this.checked++;
    }
    this.head = record;
    this.#note(record, key !== 'lost');
    return null;
  }

  checkEnd(): string | null {
    if (this.#keys.size === 0)
      return 'There is no audit trail: its keys were removed, or none was begun yet.';
    if (this.head === undefined) return 'The trail is empty, though a chain was begun.';
    const newest = Math.max(0, ...this.#keys.keys());
    if (this.head.chain < newest) return `No record of chain ${newest} is left.`;
    if (this.#expected === undefined || this.#foundExpected) return null;
    return 'The given head is not in the trail: its tail was cut, or an older state was put back.';
  }

  /** A record that nobody can verify is believed only in the very place that the head names. */
  #note({ seq, hash }: { seq: number; hash: string }, isVerified: boolean): void {
    if (hash !== this.#expected?.hash) return;
    if (this.#expected.seq === undefined ? isVerified : this.#expected.seq === seq)
      this.#foundExpected = true;
  }
}
