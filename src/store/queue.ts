import { MailProxyError } from '../core/errors.js';
import { LATE_AFTER_MS } from '../core/late.js';
import type { RejectionCode } from '../core/rejection-codes.js';
import type { MessageState, NewMessage } from '../core/types.js';
import type { ClaimAtOnce } from './claim-at-once.js';
import type { KeyedRequest, NoteRequest } from './keyed-requests.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';
import { batchIsSuspended } from './suspended-sql.js';
import type { Writer } from './writer.js';

/** Why one message of a batch was not queued. */
export interface Rejection {
  id: string;
  reason: string;
  code: Extract<RejectionCode, 'unknown_account' | 'no_account' | 'already_sent' | 'in_progress'>;
}

/** What became of one message. */
export type EnqueueResult =
  | { queued: true; pk: number; replaced: boolean }
  | { queued: false; rejection: Rejection };

/** A request with an idempotency key: what becomes of its messages is remembered in the transactions that store them. */
export interface Receipt {
  request: KeyedRequest;
  /** Places of the messages in the request. */
  places: readonly number[];
  /** The request's whole answer, when nothing else is left of it than these messages; called in the transaction. */
  answer?: ((results: readonly EnqueueResult[]) => string) | undefined;
}

/** The way in. */
export interface QueueStore {
  /**
   * Stores messages of one tenant, durably before the promise resolves, in as many transactions as it takes to keep each
   * short; a message is whole in one of them. The same id again replaces an unsent message; one bad message never stops
   * the others.
   *
   * @throws MailProxyError `tenant_not_found`; `store_unavailable`, and then the last of them were not stored.
   */
  enqueue(
    scope: TenantScope,
    messages: readonly NewMessage[],
    now: number,
    receipt?: Receipt,
  ): Promise<EnqueueResult[]>;
  /** Why a message has no account to go out through, or undefined when it has one. */
  accountProblem(
    scope: TenantScope,
    message: Pick<NewMessage, 'id' | 'accountId'>,
  ): Promise<Rejection | undefined>;
}

interface Target {
  pk: number;
  id: string;
}

/** Most recipients that one transaction writes, a message counted as a few more. */
const MOST_ROWS = 2000;
const ROWS_OF_A_MESSAGE = 4;

/** Cuts a batch, in its order, into what one short transaction stores. */
function shortParts(messages: readonly NewMessage[]): NewMessage[][] {
  const parts: NewMessage[][] = [];
  let rows = MOST_ROWS;
  for (const message of messages) {
    const more = message.envelope.to.length + ROWS_OF_A_MESSAGE;
    if (rows + more > MOST_ROWS) {
      parts.push([]);
      rows = 0;
    }
    rows += more;
    parts.at(-1)?.push(message);
  }
  return parts;
}

/** The queue's entrance over one connection. */
export function createQueueStore(
  sql: Sql,
  writer: Writer,
  atOnce: ClaimAtOnce,
  noteRequest: NoteRequest,
): QueueStore {
  const reject = (id: string, code: Rejection['code'], reason: string): EnqueueResult => ({
    queued: false,
    rejection: { id, reason, code },
  });

  const findAccount = (tenantId: string, id: string | undefined): Target | undefined => {
    if (id !== undefined) {
      return sql('SELECT pk, id FROM accounts WHERE tenant_id = ? AND id = ?').get(tenantId, id) as
        | Target
        | undefined;
    }
    const [first, second] = sql(
      'SELECT pk, id, is_default FROM accounts WHERE tenant_id = ? ORDER BY is_default DESC LIMIT 2',
    ).all(tenantId);
    const chosen = first?.is_default === 1 || second === undefined ? first : undefined;
    return chosen as Target | undefined;
  };

  const noDefaultReason = (tenantId: string): string =>
    sql('SELECT 1 FROM accounts WHERE tenant_id = ? LIMIT 1').get(tenantId) === undefined
      ? 'The tenant has no account to send through: add one first.'
      : 'The tenant has several accounts and none is its default: name one with account_id, or mark one as default.';

  /** Why the message with this id may not be replaced, or undefined after it was removed. */
  const removeUnsent = (tenantId: string, id: string): EnqueueResult | undefined => {
    const old = sql('SELECT pk, state FROM messages WHERE tenant_id = ? AND id = ?').get(tenantId, id);
    if (old === undefined) return undefined;
    const state = old.state as MessageState;
    if (state === 'sending' || state === 'uncertain') {
      return reject(
        id,
        'in_progress',
        'A message with this id is being sent: wait for its outcome or use another id.',
      );
    }
    const accepted = sql("SELECT 1 FROM recipients WHERE message_pk = ? AND state = 'sent' LIMIT 1").get(
      old.pk,
    );
    if (accepted !== undefined) {
      return reject(
        id,
        'already_sent',
        'A message with this id was already accepted for at least one recipient: use another id.',
      );
    }
    sql('DELETE FROM messages WHERE pk = ?').run(old.pk);
    return undefined;
  };

  /** What comes in for a suspended batch is parked at once, as what it may replace was. */
  const isParked = (tenantId: string, batchCode: string | undefined): boolean =>
    batchCode !== undefined &&
    sql(`SELECT ${batchIsSuspended('@tenantId', '@batchCode')} AS is_so`).get({ tenantId, batchCode })
      ?.is_so === 1;

  /** Undefined when the id is taken: then nothing was stored. */
  const insert = (
    tenantId: string,
    message: NewMessage,
    account: Target,
    now: number,
  ): number | undefined => {
    const dueAt = Math.max(message.deferredAt ?? now, now);
    const { lastInsertRowid, changes } = sql(
      `INSERT INTO messages (tenant_id, id, account_pk, account_id, state, priority, batch_code, subject, envelope_from,
         created_at, deferred_at, due_at, expires_at, attention_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (tenant_id, id) DO NOTHING`,
    ).run(
      tenantId,
      message.id,
      account.pk,
      account.id,
      dueAt > now ? 'waiting' : isParked(tenantId, message.batchCode) ? 'suspended' : 'ready',
      message.priority,
      message.batchCode ?? null,
      message.subject,
      message.envelope.from,
      now,
      message.deferredAt ?? null,
      dueAt,
      message.expiresAt,
      Math.min(dueAt + LATE_AFTER_MS, message.expiresAt),
    );
    if (changes === 0) return undefined;
    sql('INSERT INTO message_contents VALUES (?, ?, ?)').run(
      lastInsertRowid,
      message.contentKind,
      message.content,
    );
    for (const [position, address] of message.envelope.to.entries()) {
      sql('INSERT INTO recipients (message_pk, position, address) VALUES (?, ?, ?)').run(
        lastInsertRowid,
        position,
        address,
      );
    }
    return Number(lastInsertRowid);
  };

  const whyNoAccount = (
    tenantId: string,
    { id, accountId }: Pick<NewMessage, 'id' | 'accountId'>,
  ): Rejection =>
    accountId === undefined
      ? { id, code: 'no_account', reason: noDefaultReason(tenantId) }
      : { id, code: 'unknown_account', reason: `There is no account "${accountId}" in this tenant.` };

  const requireTenant = (tenantId: string): void => {
    if (sql('SELECT 1 FROM tenants WHERE id = ?').get(tenantId) !== undefined) return;
    throw new MailProxyError('tenant_not_found', `There is no tenant "${tenantId}".`);
  };

  const enqueueOne = (
    tenantId: string,
    message: NewMessage,
    account: Target | undefined,
    now: number,
  ): EnqueueResult => {
    if (account === undefined) return { queued: false, rejection: whyNoAccount(tenantId, message) };
    const pk = insert(tenantId, message, account, now);
    if (pk !== undefined) return { queued: true, pk, replaced: false };
    const obstacle = removeUnsent(tenantId, message.id);
    if (obstacle !== undefined) return obstacle;
    return { queued: true, pk: insert(tenantId, message, account, now) as number, replaced: true };
  };

  const enqueuePart = (
    tenantId: string,
    messages: readonly NewMessage[],
    now: number,
  ): { stored: EnqueueResult[]; sendClaimed: () => void } => {
    const accounts = new Map<string | undefined, Target | undefined>();
    const stored = messages.map((message) => {
      const { accountId } = message;
      if (!accounts.has(accountId)) accounts.set(accountId, findAccount(tenantId, accountId));
      // An account belongs to a tenant that is there; only without one may there be none.
      if (accounts.get(accountId) === undefined) requireTenant(tenantId);
      return enqueueOne(tenantId, message, accounts.get(accountId), now);
    });
    const found = [...accounts.values()].filter((account) => account !== undefined);
    return { stored, sendClaimed: atOnce.claimFor(found.map(({ pk }) => pk)) };
  };

  /** `first` is the place of the part among the messages. */
  const remember = (
    { request, places, answer }: Receipt,
    first: number,
    stored: readonly EnqueueResult[],
    now: number,
  ): void => {
    if (answer !== undefined && stored.length === places.length) {
      noteRequest.answer(request, answer(stored), now);
      return;
    }
    const outcomes = stored.map((result, index) => {
      const at = places[first + index] as number;
      return result.queued ? { at } : { at, rejection: result.rejection };
    });
    noteRequest.part(request, outcomes, now);
  };

  return {
    async enqueue(scope, messages, now, receipt) {
      const results: EnqueueResult[] = [];
      // One after the other: all at once they would be one long transaction again.
      for (const part of shortParts(messages)) {
        const { stored, sendClaimed } = await writer.run(
          () => {
            const done = enqueuePart(scope.tenantId, part, now);
            if (receipt !== undefined) remember(receipt, results.length, done.stored, now);
            return done;
          },
          { isRepeatable: true },
        );
        results.push(...stored);
        sendClaimed();
      }
      return results;
    },
    async accountProblem({ tenantId }, message) {
      return findAccount(tenantId, message.accountId) === undefined
        ? whyNoAccount(tenantId, message)
        : undefined;
    },
  };
}
