import type { Change } from '../core/types.js';
import type { AppendAudit } from './audit.js';
import { createPickMessages, repeat } from './bounded.js';
import { createTransitions } from './message-transitions.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** What became of the messages that were to be deleted, by id. */
export interface Deleted {
  removed: string[];
  notFound: string[];
  /** The server may have these already: their bodies are being handed over, or nobody knows what became of them. */
  inProgress: string[];
}

/**
 * Deletes messages of one tenant for good, in short transactions. A claimed one goes too as long as its body was not
 * begun: the mark that has to be set before it finds no row then, and the body is never sent.
 */
export type DeleteMessages = (scope: TenantScope, ids: readonly string[], by: Change) => Promise<Deleted>;

/** Ids that the trail names; the others are counted. */
const MOST_NAMED = 20;

/** Deleting over one connection. */
export function createDeleteMessages(sql: Sql, writer: Writer, append: AppendAudit): DeleteMessages {
  const pick = createPickMessages(sql);
  const { giveChargeBack } = createTransitions(sql);

  const remove = (pk: number): string => {
    const row = sql('DELETE FROM messages WHERE pk = ? RETURNING *').get(pk) as Record<string, unknown>;
    if (row.state === 'sending') giveChargeBack(row);
    return row.id as string;
  };

  return async ({ tenantId }, ids, { actor, now }) => {
    const asked = JSON.stringify(ids);
    const removed = new Set<string>();
    const step = (): Deleted | 'more' => {
      const { pks, more } = pick(
        `SELECT pk FROM messages WHERE tenant_id = ? AND id IN (SELECT value FROM json_each(?))
           AND state <> 'uncertain' AND NOT (state = 'sending' AND handed_over = 1) ORDER BY pk`,
        tenantId,
        asked,
      );
      const gone = pks.map(remove);
      if (gone.length > 0) {
        const detail = { count: gone.length, ids: gone.slice(0, MOST_NAMED) };
        append({ event: 'messages.deleted', actor, tenantId, subject: null, detail }, now);
      }
      for (const id of gone) removed.add(id);
      if (more) return 'more';
      const left = new Set(
        sql('SELECT id FROM messages WHERE tenant_id = ? AND id IN (SELECT value FROM json_each(?))')
          .all(tenantId, asked)
          .map((row) => row.id as string),
      );
      const others = [...new Set(ids)].filter((id) => !removed.has(id));
      return {
        removed: [...removed],
        notFound: others.filter((id) => !left.has(id)),
        inProgress: others.filter((id) => left.has(id)),
      };
    };
    return await repeat(() => writer.run(step));
  };
}
