import { isReported } from '../core/report.js';
import type { MessageEventType } from '../core/types.js';
import { createQueueReport } from './queue-report.js';
import type { Sql } from './statements.js';

/**
 * Writes down what happened to a message, inside the caller's transaction, and queues the report of it when it is one that
 * tenants are told. `data` must hold no secret.
 */
export type NoteEvent = (
  messagePk: number,
  type: MessageEventType,
  at: number,
  data?: Record<string, unknown>,
) => void;

/** The history of messages over one connection. */
export function createNoteEvent(sql: Sql): NoteEvent {
  const queueReport = createQueueReport(sql);
  return (messagePk, type, at, data = {}) => {
    sql('INSERT INTO message_events (message_pk, type, at, data) VALUES (?, ?, ?, ?)').run(
      messagePk,
      type,
      at,
      JSON.stringify(data),
    );
    if (isReported(type))
      queueReport(messagePk, type, at, typeof data.error === 'string' ? data.error : null);
  };
}
