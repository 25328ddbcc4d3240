import type { MessageEventType } from '../core/types.js';
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
