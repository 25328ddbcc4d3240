import type { Message, MessageState, MessageStatus, Recipient } from '../core/types.js';
import { statusFilter, statusOf } from './message-status.js';
import type { TenantScope } from './scope.js';
import { createSelectMessages, LOOKED_AT } from './select-messages.js';
import type { Sql } from './statements.js';
import { type IsStopped, readStopped } from './stopped.js';

/** Filters of a list; a status that is left out is any. */
export interface MessageFilter {
  status?: MessageStatus;
  activeOnly?: boolean;
  accountId?: string;
  batchCode?: string;
}

/** A page of a list, newest first. `before` is the `pk` that the page before ended with. */
export interface MessagePage {
  before?: number;
  limit: number;
}

/** The messages of one page, which may be fewer than asked for, and whether others follow. */
export interface MessageSlice {
  messages: Message[];
  more: boolean;
}

/** A page ends after the message with which it has so many recipients: nobody waits for a million rows. */
const MOST_RECIPIENTS = 5000;

/** How many messages are in each state. */
export type MessageCounts = Partial<Record<MessageState, number>>;

/** Reads of messages. */
export interface MessageStore {
  list(scope: TenantScope, filter: MessageFilter, page: MessagePage): Promise<MessageSlice>;
  get(scope: TenantScope, id: string): Promise<Message | undefined>;
  counts(scope: TenantScope): Promise<MessageCounts>;
  /** How many messages of one batch are not final; counted, in slices between which others have their turn. */
  countUnsentOfBatch(scope: TenantScope, batchCode: string): Promise<number>;
  /** For the operator. */
  listOfAllTenants(filter: MessageFilter, page: MessagePage): Promise<MessageSlice>;
  /** For the operator. */
  countsOfAllTenants(): Promise<MessageCounts>;
}

function messageFromRow(row: Record<string, unknown>, isStopped: IsStopped): Message {
  const state = row.state as MessageState;
  const status = statusOf(state, isStopped(row));
  return {
    pk: row.pk as number,
    id: row.id as string,
    tenantId: row.tenant_id as string,
    accountId: row.account_id as string,
    status,
    priority: row.priority as Message['priority'],
    batchCode: row.batch_code as string | null,
    subject: row.subject as string,
    createdAt: row.created_at as number,
    deferredAt: row.deferred_at as number | null,
    sentAt: row.sent_at as number | null,
    errorAt: row.error_at as number | null,
    error: row.error as string | null,
    retryCount: row.retry_count as number,
    nextAttemptAt: status === 'deferred' ? (row.due_at as number) : null,
    expiresAt: row.expires_at as number,
    recipients: [],
  };
}

/** Messages over one connection. */
export function createMessageStore(sql: Sql): MessageStore {
  const select = createSelectMessages(sql);
  const withRecipients = (rows: Array<Record<string, unknown>>, isStopped: IsStopped): Message[] => {
    const messages = rows.map((row) => messageFromRow(row, isStopped));
    const byPk = new Map(messages.map((message) => [message.pk, message]));
    const recipients = sql(
      `SELECT recipients.* FROM json_each(?) JOIN recipients ON message_pk = json_each.value
         ORDER BY message_pk, position`,
    ).all(JSON.stringify([...byPk.keys()]));
    for (const row of recipients) {
      byPk.get(row.message_pk as number)?.recipients.push({
        position: row.position as number,
        address: row.address as string,
        state: row.state as Recipient['state'],
        code: row.code as number | null,
        reply: row.reply as string | null,
        at: row.at as number | null,
      });
    }
    return messages;
  };

  /** The first rows that have about 5,000 recipients together; one message at least. */
  const bounded = (rows: Array<Record<string, unknown>>): Array<Record<string, unknown>> => {
    let recipients = 0;
    const end = rows.findIndex((row) => {
      if (recipients >= MOST_RECIPIENTS) return true;
      const counted = sql('SELECT COUNT(*) AS n FROM recipients WHERE message_pk = ?').get(row.pk);
      recipients += counted?.n as number;
      return false;
    });
    return end === -1 ? rows : rows.slice(0, end);
  };

  const list = async (
    tenantId: string | undefined,
    filter: MessageFilter,
    { before, limit }: MessagePage,
  ): Promise<MessageSlice> => {
    const stopped = readStopped(sql, tenantId);
    const wanted = statusFilter(filter.status, filter.activeOnly === true, stopped);
    if (wanted.states?.length === 0) return { messages: [], more: false };
    const selection = { ...filter, tenantId, states: wanted.states };
    // One row more than asked for: only so is it known whether others follow.
    const page = { limit: limit + 1, ...(before === undefined ? {} : { before }) };
    const found =
      wanted.stopped === undefined
        ? select.newest(selection, page)
        : await select.newestStopped(selection, page, wanted.stopped);
    const rows = bounded(found.slice(0, limit));
    return { messages: withRecipients(rows, stopped.isStopped), more: rows.length < found.length };
  };

  const toCounts = (rows: Array<Record<string, unknown>>): MessageCounts =>
    Object.fromEntries(rows.map((row) => [row.state, row.n]));

  return {
    list: (scope, filter, page) => list(scope.tenantId, filter, page),
    listOfAllTenants: (filter, page) => list(undefined, filter, page),
    async get(scope, id) {
      const { isStopped } = readStopped(sql, scope.tenantId);
      const rows = sql('SELECT * FROM messages WHERE tenant_id = ? AND id = ?').all(scope.tenantId, id);
      return withRecipients(rows, isStopped)[0];
    },
    async counts(scope) {
      return toCounts(
        sql('SELECT state, SUM(n) AS n FROM message_counts WHERE tenant_id = ? GROUP BY state').all(
          scope.tenantId,
        ),
      );
    },
    async countUnsentOfBatch({ tenantId }, batchCode) {
      let unsent = 0;
      for (let after = 0; ; ) {
        const slice = sql(
          `SELECT COUNT(*) AS n, MAX(pk) AS last, TOTAL(state NOT IN ('sent', 'error')) AS unsent FROM
             (SELECT pk, state FROM messages WHERE tenant_id = ? AND batch_code = ? AND pk > ? ORDER BY pk LIMIT ?)`,
        ).get(tenantId, batchCode, after, LOOKED_AT);
        unsent += slice?.unsent as number;
        if ((slice?.n as number) < LOOKED_AT) return unsent;
        after = slice?.last as number;
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    async countsOfAllTenants() {
      return toCounts(sql('SELECT state, SUM(n) AS n FROM message_counts GROUP BY state').all());
    },
  };
}
