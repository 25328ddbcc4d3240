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

/** How many messages are in each state. */
export type MessageCounts = Partial<Record<MessageState, number>>;

/** Reads of messages. */
export interface MessageStore {
  list(scope: TenantScope, filter: MessageFilter, page: MessagePage): Promise<Message[]>;
  get(scope: TenantScope, id: string): Promise<Message | undefined>;
  counts(scope: TenantScope): Promise<MessageCounts>;
  /** For the operator. */
  listOfAllTenants(filter: MessageFilter, page: MessagePage): Promise<Message[]>;
  /** For the operator. */
  countsOfAllTenants(): Promise<MessageCounts>;
}

const STATES_OF: Record<MessageStatus, MessageState[]> = {
  pending: ['ready'],
  deferred: ['waiting'],
  suspended: [],
  sending: ['sending'],
  uncertain: ['uncertain'],
  sent: ['sent'],
  error: ['error'],
};

const STATUS_OF: Record<MessageState, MessageStatus> = {
  ready: 'pending',
  waiting: 'deferred',
  sending: 'sending',
  uncertain: 'uncertain',
  sent: 'sent',
  error: 'error',
};

const ACTIVE: MessageState[] = ['ready', 'waiting', 'sending', 'uncertain'];

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

  const list = (tenantId: string | undefined, filter: MessageFilter, page: MessagePage): Message[] => {
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
    return withRecipients(
      sql(`SELECT * FROM messages ${clause} ORDER BY pk DESC LIMIT ?`).all(...values, page.limit),
    );
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
