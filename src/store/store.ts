import { statSync } from 'node:fs';
import { MailProxyError } from '../core/errors.js';
import { type AccountStore, createAccountStore } from './accounts.js';
import { type AuditStore, createAuditStore } from './audit.js';
import { createClaimAtOnce } from './claim-at-once.js';
import { createClaiming } from './claiming.js';
import { type ClaimStore, createClaimStore } from './claims.js';
import { type CleanupStore, createCleanupStore } from './cleanup.js';
import { type Db, openDatabase } from './database.js';
import { createDeleteMessages, type DeleteMessages } from './delete-messages.js';
import { createFigureStore, type FigureStore } from './figures.js';
import { createReadHoldFacts, type ReadHoldFacts } from './hold-facts.js';
import { createKeyedRequestStore, createNoteRequest, type KeyedRequestStore } from './keyed-requests.js';
import { createKeyStore, type KeyStore } from './keys.js';
import { createLaneStateStore, type LaneStateStore } from './lane-states.js';
import { createNoteEvent } from './message-events.js';
import {
  createReadHistory,
  createReadLastEvents,
  type ReadHistory,
  type ReadLastEvents,
} from './message-history.js';
import { createMessageStore, type MessageStore } from './messages.js';
import { createQueueStore, type QueueStore } from './queue.js';
import { createReportStore, type ReportStore } from './reports.js';
import { createResolveMessage, type ResolveMessage } from './resolve-message.js';
import { createRetryStore, type RetryStore } from './retry-messages.js';
import { requireCurrentSchema } from './schema-version.js';
import { createSecretStore, type SecretStore } from './secrets.js';
import { createSettingsStore, type SettingsStore } from './settings.js';
import { statementCache } from './statements.js';
import { createSuspensionStore, type SuspensionStore } from './suspensions.js';
import { createTenantStore, type TenantStore } from './tenants.js';
import { createTokenStore, type TokenStore } from './tokens.js';
import { Writer } from './writer.js';

/** Everything that is kept, in the domain's words. Its functions are asynchronous whatever the engine does. */
export interface Store {
  readonly audit: AuditStore;
  readonly secrets: SecretStore;
  readonly keys: KeyStore;
  readonly settings: SettingsStore;
  readonly tenants: TenantStore;
  readonly tokens: TokenStore;
  readonly accounts: AccountStore;
  readonly messages: MessageStore;
  readonly queue: QueueStore;
  readonly keyedRequests: KeyedRequestStore;
  readonly claims: ClaimStore;
  readonly laneStates: LaneStateStore;
  readonly holdFacts: ReadHoldFacts;
  readonly history: ReadHistory;
  readonly lastEvents: ReadLastEvents;
  readonly suspensions: SuspensionStore;
  readonly retries: RetryStore;
  readonly deleteMessages: DeleteMessages;
  readonly resolveMessage: ResolveMessage;
  readonly cleanup: CleanupStore;
  readonly figures: FigureStore;
  readonly reports: ReportStore;
  /** Path of the database file. */
  readonly path: string;
  /** Changes whenever another connection commits: a cheap way to notice what a command of the CLI changed. */
  dataVersion(): Promise<number>;
  /** Whether the database's file is still the one that was opened. */
  isInPlace(): Promise<boolean>;
  /** Fails when the database cannot be read, or its file is no longer where it was: what is written then is lost. */
  check(): Promise<void>;
  close(): Promise<void>;
}

function storeOver(db: Db): Store {
  const inode = statSync(db.name, { throwIfNoEntry: false })?.ino;
  const isInPlace = (): boolean => statSync(db.name, { throwIfNoEntry: false })?.ino === inode;
  const sql = statementCache(db);
  const writer = new Writer(db);
  const { store: audit, append } = createAuditStore(sql, writer);
  const secrets = createSecretStore(sql, writer);
  const note = createNoteEvent(sql);
  const noteRequest = createNoteRequest(sql);
  const claiming = createClaiming(sql);
  const atOnce = createClaimAtOnce(claiming);
  return {
    audit,
    secrets,
    keys: createKeyStore(sql, writer, append, secrets.countByKeyNow),
    settings: createSettingsStore(sql, writer, append),
    tenants: createTenantStore(sql, writer, append),
    tokens: createTokenStore(sql, writer, append),
    accounts: createAccountStore(sql, writer, append),
    messages: createMessageStore(sql),
    queue: createQueueStore(sql, writer, atOnce, noteRequest),
    keyedRequests: createKeyedRequestStore(sql, writer, noteRequest),
    claims: createClaimStore(sql, writer, claiming, atOnce),
    laneStates: createLaneStateStore(sql, writer),
    holdFacts: createReadHoldFacts(sql),
    history: createReadHistory(sql),
    lastEvents: createReadLastEvents(sql),
    suspensions: createSuspensionStore(sql, writer, append),
    retries: createRetryStore(sql, writer, note),
    deleteMessages: createDeleteMessages(sql, writer, append),
    resolveMessage: createResolveMessage(sql, writer, append, note),
    cleanup: createCleanupStore(sql, writer),
    figures: createFigureStore(sql, db.name),
    reports: createReportStore(db, sql, writer),
    path: db.name,
    async dataVersion() {
      return db.pragma('data_version', { simple: true }) as number;
    },
    async isInPlace() {
      return isInPlace();
    },
    async check() {
      if (!isInPlace()) {
        throw new MailProxyError(
          'store_unavailable',
          `The database ${db.name} was removed or replaced under the running server: start it again.`,
        );
      }
      sql('SELECT value FROM generation').get();
    },
    async close() {
      if (db.open) db.close();
    },
  };
}

/**
 * Opens the store of a server that exists, without changing its schema.
 *
 * @throws MailProxyError `server_not_found`, `schema_mismatch`, `unsafe_permissions` or `store_unavailable`.
 */
export async function openStore(path: string): Promise<Store> {
  const db = openDatabase(path, { create: false });
  try {
    requireCurrentSchema(db);
  } catch (error) {
    db.close();
    throw error;
  }
  return storeOver(db);
}

/**
 * Opens the store for a daemon: creates it when new and migrates it when old (after a copy). The caller holds the
 * server's lock.
 */
export async function openStoreAndMigrate(
  path: string,
): Promise<{ store: Store; backup: string | undefined }> {
  const db = openDatabase(path, { create: true });
  try {
    // Loaded only where it is needed: commands that only read start faster without it.
    const { migrate } = await import('./migrate.js');
    const backup = await migrate(db);
    return { store: storeOver(db), backup };
  } catch (error) {
    db.close();
    throw error;
  }
}
