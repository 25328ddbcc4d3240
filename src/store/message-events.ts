import type { MessageEvent, MessageEventType } from '../core/types.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';

/** Writes down what happened to a message, inside the caller's transaction. `data` must hold no secret. */
export type NoteEvent = (
  messagePk: number,
  type: MessageEventType,
  at: number,
  data?: Record<string, unknown>,
) => void;

/** The history of messages over one connection. */
export function createNoteEvent(sql: Sql): NoteEvent {
  return (messagePk, type, at, data = {}) => {
    sql('INSERT INTO message_events (message_pk, type, at, data) VALUES (?, ?, ?, ?)').run(
      messagePk,
      type,
      at,
      JSON.stringify(data),
    );
  };
}

/** Reads of the history of messages. */
export interface MessageEventStore {
  /** In the order in which it happened, from after the event with the key `after` on. */
  list(scope: TenantScope, id: string, page: { after?: number; limit: number }): Promise<MessageEvent[]>;
  /** The newest, newest first. */
  newest(scope: TenantScope, id: string, limit: number): Promise<MessageEvent[]>;
}

function eventFromRow(row: Record<string, unknown>): MessageEvent {
  return {
    pk: row.pk as number,
    type: row.type as MessageEventType,
    at: row.at as number,
    data: JSON.parse(row.data as string) as Record<string, unknown>,
  };
}

/** The history of messages, for readers, over one connection. */
export function createMessageEventStore(sql: Sql): MessageEventStore {
  const events = `SELECT message_events.* FROM message_events
    WHERE message_pk = (SELECT pk FROM messages WHERE tenant_id = ? AND id = ?)`;
  return {
    async list({ tenantId }, id, { after = 0, limit }) {
      const rows = sql(`${events} AND pk > ? ORDER BY pk LIMIT ?`).all(tenantId, id, after, limit);
      return rows.map(eventFromRow);
    },
    async newest({ tenantId }, id, limit) {
      return sql(`${events} ORDER BY pk DESC LIMIT ?`).all(tenantId, id, limit).map(eventFromRow);
    },
  };
}
