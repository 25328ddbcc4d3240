import type { MessageEventType } from '../core/types.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';

/** Something that happened to a message. */
export interface MessageEvent {
  pk: number;
  type: MessageEventType;
  at: number;
  data: Record<string, unknown>;
}

/** Reads a page of what happened to one message, oldest first; undefined when there is no such message. */
export type ReadHistory = (
  scope: TenantScope,
  id: string,
  page: { after?: number; limit: number },
) => Promise<MessageEvent[] | undefined>;

/** Reads the last of what happened to one message, in the order in which it happened. */
export type ReadLastEvents = (scope: TenantScope, id: string, limit: number) => Promise<MessageEvent[]>;

function eventFromRow(row: Record<string, unknown>): MessageEvent {
  return {
    pk: row.pk as number,
    type: row.type as MessageEventType,
    at: row.at as number,
    data: JSON.parse(row.data as string) as Record<string, unknown>,
  };
}

/** Reading the end over one connection. */
export function createReadLastEvents(sql: Sql): ReadLastEvents {
  return async ({ tenantId }, id, limit) =>
    sql(
      `SELECT * FROM message_events WHERE message_pk = (SELECT pk FROM messages WHERE tenant_id = ? AND id = ?)
         ORDER BY pk DESC LIMIT ?`,
    )
      .all(tenantId, id, limit)
      .map(eventFromRow)
      .reverse();
}

/** Reading over one connection. */
export function createReadHistory(sql: Sql): ReadHistory {
  return async ({ tenantId }, id, { after = 0, limit }) => {
    const message = sql('SELECT pk FROM messages WHERE tenant_id = ? AND id = ?').get(tenantId, id);
    if (message === undefined) return undefined;
    return sql('SELECT * FROM message_events WHERE message_pk = ? AND pk > ? ORDER BY pk LIMIT ?')
      .all(message.pk, after, limit)
      .map(eventFromRow);
  };
}
