import type { Message, MessageState, MessageStatus, Recipient } from '../core/types.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';

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
  /** For the operator. */
  listOfAllTenants(filter: MessageFilter, page: MessagePage): Promise<MessageSlice>;
  /** For the operator. */
  countsOfAllTenants(): Promise<MessageCounts>;
}

const STATES_OF: Record<MessageStatus, MessageState[]> = {
  pending: ['ready'],
  deferred: ['waiting'],
  suspended: ['suspended'],
  sending: ['sending'],
  uncertain: ['uncertain'],
  sent: ['sent'],
  error: ['error'],
};

const STATUS_OF: Record<MessageState, MessageStatus> = {
  ready: 'pending',
  waiting: 'deferred',
  suspended: 'suspended',
  sending: 'sending',
  uncertain: 'uncertain',
  sent: 'sent',
  error: 'error',
};

const ACTIVE: MessageState[] = ['ready', 'waiting', 'suspended', 'sending', 'uncertain'];

function messageFromRow(row: Record<string, unknown>): Message {
  const state = row.state as MessageState;
  return {
    pk: row.pk as number,
    id: row.id as string,
    tenantId: row.tenant_id as string,
    accountId: row.account_id as string,
    status: STATUS_OF[state],
    priority: row.priority as Message['priority'],
    batchCode: row.batch_code as string | null,
    subject: row.subject as string,
    createdAt: row.created_at as number,
    deferredAt: row.deferred_at as number | null,
    sentAt: row.sent_at as number | null,
    errorAt: row.error_at as number | null,
    error: row.error as string | null,
    retryCount: row.retry_count as number,
    nextAttemptAt: state === 'waiting' ? (row.due_at as number) : null,
    expiresAt: row.expires_at as number,
    recipients: [],
  };
}

function wantedStates(filter: MessageFilter): MessageState[] | undefined {
  const byStatus = filter.status === undefined ? undefined : STATES_OF[filter.status];
  if (filter.activeOnly !== true) return byStatus;
  return byStatus === undefined ? ACTIVE : byStatus.filter((state) => ACTIVE.includes(state));
}

/** Messages over one connection. */
export function createMessageStore(sql: Sql): MessageStore {
  const withRecipients = (rows: Array<Record<string, unknown>>): Message[] => {
    const messages = rows.map(messageFromRow);
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

  const list = (tenantId: string | undefined, filter: MessageFilter, page: MessagePage): MessageSlice => {
    const conditions: string[] = [];
    const values: unknown[] = [];
    const where = (condition: string, value: unknown): void => {
      conditions.push(condition);
      values.push(value);
    };
    if (tenantId !== undefined) where('tenant_id = ?', tenantId);
    const states = wantedStates(filter);
    if (states !== undefined) where('state IN (SELECT value FROM json_each(?))', JSON.stringify(states));
    if (filter.accountId !== undefined) where('account_id = ?', filter.accountId);
    if (filter.batchCode !== undefined) where('batch_code = ?', filter.batchCode);
    if (page.before !== undefined) where('pk < ?', page.before);
    const clause = conditions.length === 0 ? '' : `WHERE ${conditions.join(' AND ')}`;
    // One row more than asked for: only so is it known whether others follow.
    const found = sql(`SELECT * FROM messages ${clause} ORDER BY pk DESC LIMIT ?`).all(
      ...values,
      page.limit + 1,
    );
    const rows = bounded(found.slice(0, page.limit));
    return { messages: withRecipients(rows), more: rows.length < found.length };
  };

  const toCounts = (rows: Array<Record<string, unknown>>): MessageCounts =>
    Object.fromEntries(rows.map((row) => [row.state, row.n]));

  return {
    async list(scope, filter, page) {
      return list(scope.tenantId, filter, page);
    },
    async listOfAllTenants(filter, page) {
      return list(undefined, filter, page);
    },
    async get(scope, id) {
      return withRecipients(
        sql('SELECT * FROM messages WHERE tenant_id = ? AND id = ?').all(scope.tenantId, id),
      )[0];
    },
    async counts(scope) {
      return toCounts(
        sql('SELECT state, SUM(n) AS n FROM message_counts WHERE tenant_id = ? GROUP BY state').all(
          scope.tenantId,
        ),
      );
    },
    async countsOfAllTenants() {
      return toCounts(sql('SELECT state, SUM(n) AS n FROM message_counts GROUP BY state').all());
    },
  };
}
