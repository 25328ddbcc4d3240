import { MailProxyError } from '../core/errors.js';
import type { Account, Change, SealedSecret } from '../core/types.js';
import type { AppendAudit } from './audit.js';
import { createPickMessages, repeat } from './bounded.js';
import { changedFields } from './changed-fields.js';
import { accountDeleted, createTransitions } from './message-transitions.js';
import { primaryKeyId } from './primary-key.js';
import { accountRateScope, createRateLedger } from './rate-charges.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** An account with its sealed password. */
export interface StoredAccount extends Account {
  password: SealedSecret | null;
}

/** What a change of an account results in. */
export type AccountChange = Omit<
  StoredAccount,
  'pk' | 'tenantId' | 'id' | 'hasPassword' | 'credentialVersion' | 'createdAt' | 'updatedAt'
>;

/** SMTP accounts of one tenant at a time. */
export interface AccountStore {
  get(scope: TenantScope, id: string): Promise<StoredAccount | undefined>;
  /** The account for messages that name none: the one marked default, or the only one. */
  getDefault(scope: TenantScope): Promise<StoredAccount | undefined>;
  list(scope: TenantScope, page: { after?: string; limit: number }): Promise<Account[]>;
  /** For the operator: accounts of all tenants, in order of `pk`. */
  listOfAllTenants(page: { after?: number; limit: number }): Promise<Account[]>;
  /** For the dispatcher: one account by its internal key, whichever tenant owns it. */
  getForDispatch(pk: number): Promise<StoredAccount | undefined>;
  /**
   * Adds or changes an account in one transaction; `change` gets the present row and the key that secrets are sealed under,
   * and may throw to change nothing.
   * `id` undefined takes the first free of `smtp1`, `smtp2`, …
   *
   * @throws MailProxyError `tenant_not_found`.
   */
  put(
    scope: TenantScope,
    id: string | undefined,
    by: Change,
    change: (
      current: StoredAccount | undefined,
      id: string,
      primaryKeyId: string | undefined,
    ) => AccountChange,
  ): Promise<Account>;
  /** Notes that an account delivered over TLS with a verified certificate. */
  noteVerifiedTls(pk: number, credentialVersion: number, now: number): Promise<void>;
  /**
   * Removes an account. With `failWaiting` its unsent messages end in error before it, in short transactions.
   *
   * @returns False when there is none.
   * @throws MailProxyError `account_in_use` when unsent messages wait for it and `failWaiting` is false.
   */
  delete(scope: TenantScope, id: string, by: Change, options: { failWaiting: boolean }): Promise<boolean>;
}

function accountFromRow(row: Record<string, unknown>): StoredAccount {
  return {
    pk: row.pk as number,
    tenantId: row.tenant_id as string,
    id: row.id as string,
    host: row.host as string,
    port: row.port as number,
    tls: row.tls as Account['tls'],
    tlsVerify: row.tls_verify === 1,
    tlsCa: row.tls_ca as string | null,
    user: row.user as string | null,
    hasPassword: row.password !== null,
    password:
      row.password === null ? null : { value: row.password as string, keyId: row.password_key_id as string },
    limitMinute: row.limit_minute as number | null,
    limitHour: row.limit_hour as number | null,
    limitDay: row.limit_day as number | null,
    limitBehavior: row.limit_behavior as Account['limitBehavior'],
    maxConnections: row.max_connections as number,
    fromAddress: row.from_address as string | null,
    isDefault: row.is_default === 1,
    setBy: row.set_by as Account['setBy'],
    verifiedTlsAt: row.verified_tls_at as number | null,
    credentialVersion: row.credential_version as number,
    createdAt: row.created_at as number,
    updatedAt: row.updated_at as number,
  };
}

/** The view without the sealed password. */
export function withoutPassword(stored: StoredAccount): Account {
  const { password: _password, ...account } = stored;
  return account;
}

/** Whether open connections of the old row may not serve the new one. */
function connectionChanged(old: StoredAccount, next: AccountChange): boolean {
  return (
    old.host !== next.host ||
    old.port !== next.port ||
    old.tls !== next.tls ||
    old.tlsVerify !== next.tlsVerify ||
    old.tlsCa !== next.tlsCa ||
    old.user !== next.user ||
    old.password?.value !== next.password?.value
  );
}

/** Accounts over one connection. */
export function createAccountStore(sql: Sql, writer: Writer, append: AppendAudit): AccountStore {
  const pick = createPickMessages(sql);
  const ledger = createRateLedger(sql);
  const { finish } = createTransitions(sql);
  const find = (tenantId: string, id: string): StoredAccount | undefined => {
    const row = sql('SELECT * FROM accounts WHERE tenant_id = ? AND id = ?').get(tenantId, id);
    return row === undefined ? undefined : accountFromRow(row);
  };

  const firstFreeId = (tenantId: string): string => {
    const taken = new Set(
      sql("SELECT id FROM accounts WHERE tenant_id = ? AND id LIKE 'smtp%'")
        .all(tenantId)
        .map((row) => row.id as string),
    );
    let n = 1;
    while (taken.has(`smtp${n}`)) n++;
    return `smtp${n}`;
  };

  const write = (
    tenantId: string,
    id: string,
    now: number,
    old: StoredAccount | undefined,
    next: AccountChange,
  ): void => {
    const first =
      sql('SELECT 1 FROM accounts WHERE tenant_id = ? AND id <> ? LIMIT 1').get(tenantId, id) === undefined;
    // A tenant's only account is its default: messages that name none have somewhere to go.
    const isDefault = next.isDefault || first;
    if (isDefault)
      sql('UPDATE accounts SET is_default = 0 WHERE tenant_id = ? AND id <> ?').run(tenantId, id);
    const version = old === undefined ? 1 : old.credentialVersion + Number(connectionChanged(old, next));
    sql(
      `INSERT INTO accounts (tenant_id, id, host, port, tls, tls_verify, tls_ca, user, password, password_key_id, limit_minute,
         limit_hour, limit_day, limit_behavior, max_connections, from_address, is_default, set_by, credential_version,
         created_at, updated_at)
       VALUES (@tenantId, @id, @host, @port, @tls, @tlsVerify, @tlsCa, @user, @password, @keyId, @limitMinute, @limitHour,
         @limitDay, @limitBehavior, @maxConnections, @fromAddress, @isDefault, @setBy, @version, @now, @now)
       ON CONFLICT (tenant_id, id) DO UPDATE SET host = @host, port = @port, tls = @tls, tls_verify = @tlsVerify,
         tls_ca = @tlsCa, user = @user, password = @password, password_key_id = @keyId, limit_minute = @limitMinute,
         limit_hour = @limitHour, limit_day = @limitDay, limit_behavior = @limitBehavior, max_connections = @maxConnections,
         from_address = @fromAddress, is_default = @isDefault, set_by = @setBy, credential_version = @version,
         updated_at = @now`,
    ).run({
      tenantId,
      id,
      now,
      version,
      host: next.host,
      port: next.port,
      tls: next.tls,
      tlsVerify: Number(next.tlsVerify),
      tlsCa: next.tlsCa,
      user: next.user,
      password: next.password?.value ?? null,
      keyId: next.password?.keyId ?? null,
      limitMinute: next.limitMinute,
      limitHour: next.limitHour,
      limitDay: next.limitDay,
      limitBehavior: next.limitBehavior,
      maxConnections: next.maxConnections,
      fromAddress: next.fromAddress,
      isDefault: Number(isDefault),
      setBy: next.setBy,
    });
  };

  /** Ends some of an account's unsent messages in error; whether there are others. */
  const failSome = ({ tenantId, pk: accountPk, id }: StoredAccount, now: number): boolean => {
    const { pks, more } = pick(
      `SELECT pk FROM messages WHERE tenant_id = ? AND state IN ('ready', 'waiting', 'suspended') AND account_pk = ?`,
      tenantId,
      accountPk,
    );
    for (const pk of pks) finish(pk, now, accountDeleted(id));
    return more;
  };

  /** One short transaction on the way to a deleted account. */
  const deleteStep = (
    tenantId: string,
    id: string,
    { actor, now }: Change,
    { failWaiting }: { failWaiting: boolean },
    isFirst: boolean,
  ): boolean | 'more' => {
    const account = find(tenantId, id);
    if (account === undefined) return false;
    const unsent = sql(
      `SELECT COALESCE(SUM(n), 0) AS n FROM message_counts
         WHERE tenant_id = ? AND account_pk = ? AND state IN ('ready', 'waiting', 'suspended', 'sending')`,
    ).get(tenantId, account.pk)?.n as number;
    if (unsent > 0 && !failWaiting) {
      throw new MailProxyError(
        'account_in_use',
        `${unsent} unsent message(s) wait for the account "${id}": let them be sent, or delete it with force and they end in error.`,
      );
    }
    if (isFirst && unsent > 0) {
      // Written down before it begins: without the trail nothing is taken from the account.
      const detail = { deleting: true, unsent };
      append({ event: 'account.updated', actor, tenantId, subject: id, detail }, now);
    }
    if (failSome(account, now) || ledger.forget(accountRateScope(account.pk))) return 'more';
    sql('DELETE FROM accounts WHERE tenant_id = ? AND id = ?').run(tenantId, id);
    // The one that is left is the default again, and stays it when another is added.
    sql(
      `UPDATE accounts SET is_default = 1 WHERE tenant_id = @tenant
         AND (SELECT COUNT(*) FROM accounts WHERE tenant_id = @tenant) = 1`,
    ).run({ tenant: tenantId });
    append({ event: 'account.deleted', actor, tenantId, subject: id, detail: {} }, now);
    return true;
  };

  return {
    async get(scope, id) {
      return find(scope.tenantId, id);
    },
    async getDefault(scope) {
      const [first, second] = sql(
        'SELECT * FROM accounts WHERE tenant_id = ? ORDER BY is_default DESC LIMIT 2',
      ).all(scope.tenantId);
      if (first === undefined || (first.is_default !== 1 && second !== undefined)) return undefined;
      return accountFromRow(first);
    },
    async list(scope, { after, limit }) {
      return sql('SELECT * FROM accounts WHERE tenant_id = ? AND id > ? ORDER BY id LIMIT ?')
        .all(scope.tenantId, after ?? '', limit)
        .map((row) => withoutPassword(accountFromRow(row)));
    },
    async listOfAllTenants({ after, limit }) {
      return sql('SELECT * FROM accounts WHERE pk > ? ORDER BY pk LIMIT ?')
        .all(after ?? 0, limit)
        .map((row) => withoutPassword(accountFromRow(row)));
    },
    async getForDispatch(pk) {
      const row = sql('SELECT * FROM accounts WHERE pk = ?').get(pk);
      return row === undefined ? undefined : accountFromRow(row);
    },
    put: (scope, id, by, change) =>
      writer.run(() => {
        const { tenantId } = scope;
        if (sql('SELECT 1 FROM tenants WHERE id = ?').get(tenantId) === undefined) {
          throw new MailProxyError(
            'tenant_not_found',
            `There is no tenant "${tenantId}": add it with "tenants add ${tenantId}".`,
          );
        }
        const accountId = id ?? firstFreeId(tenantId);
        const old = find(tenantId, accountId);
        const next = change(old, accountId, primaryKeyId(sql));
        write(tenantId, accountId, by.now, old, next);
        const changed = changedFields(old, next);
        if (old === undefined || changed.length > 0) {
          append(
            {
              event: old === undefined ? 'account.created' : 'account.updated',
              actor: by.actor,
              tenantId,
              subject: accountId,
              detail: old === undefined ? {} : { changed },
            },
            by.now,
          );
        }
        return withoutPassword(find(tenantId, accountId) as StoredAccount);
      }),
    noteVerifiedTls: (pk, credentialVersion, now) =>
      writer.run(() => {
        sql(
          'UPDATE accounts SET verified_tls_at = ? WHERE pk = ? AND credential_version = ? AND verified_tls_at IS NULL',
        ).run(now, pk, credentialVersion);
      }),
    delete: (scope, id, by, options) => {
      let isFirst = true;
      return repeat(() =>
        writer.run(() => {
          const result = deleteStep(scope.tenantId, id, by, options, isFirst);
          isFirst = false;
          return result;
        }),
      );
    },
  };
}
