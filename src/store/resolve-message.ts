import { retriedLifetime } from '../core/retry.js';
import type { Change } from '../core/types.js';
import type { AppendAudit } from './audit.js';
import type { NoteEvent } from './message-events.js';
import { createTransitions } from './message-transitions.js';
import type { TenantScope } from './scope.js';
import type { Sql } from './statements.js';
import type { Writer } from './writer.js';

/** What a person found out about a message of which nobody knew what became. */
export interface Resolution {
  /** The server has it; it has not, and it is sent again; it has not, and is given up. */
  outcome: 'sent' | 'retry' | 'error';
  reason: string | undefined;
}

/** Ends the uncertainty about one message; anything else than `resolved` says why it was not. */
export type ResolveMessage = (
  scope: TenantScope,
  id: string,
  resolution: Resolution,
  by: Change,
) => Promise<'resolved' | 'message_not_found' | 'not_uncertain' | 'content_gone' | 'account_not_found'>;

const GIVEN_UP = 'Nobody knew whether the server accepted the message; it was given up by hand.';

/** Resolving over one connection. */
export function createResolveMessage(
  sql: Sql,
  writer: Writer,
  append: AppendAudit,
  note: NoteEvent,
): ResolveMessage {
  const { finish, conclude, requeue } = createTransitions(sql);

  const settleAsSent = (pk: number, now: number): void => {
    sql("UPDATE recipients SET state = 'sent', at = ? WHERE message_pk = ? AND state = 'pending'").run(
      now,
      pk,
    );
    conclude(pk, now);
  };

  const whyNoRetry = (row: Record<string, unknown>): 'content_gone' | 'account_not_found' | undefined => {
    if (sql('SELECT 1 FROM accounts WHERE pk = ?').get(row.account_pk) === undefined)
      return 'account_not_found';
    const content = sql('SELECT 1 FROM message_contents WHERE message_pk = ?').get(row.pk);
    return content === undefined ? 'content_gone' : undefined;
  };

  const sendAgain = (row: Record<string, unknown>, now: number): void => {
    const pk = row.pk as number;
    const { expiresAt, attentionAt } = retriedLifetime(row.expires_at as number, now);
    sql('UPDATE messages SET expires_at = ?, attention_at = ? WHERE pk = ?').run(expiresAt, attentionAt, pk);
    requeue(pk, now, now, null, 0);
  };

  return ({ tenantId }, id, { outcome, reason }, { actor, now }) =>
    writer.run(() => {
      const row = sql('SELECT * FROM messages WHERE tenant_id = ? AND id = ?').get(tenantId, id);
      if (row === undefined) return 'message_not_found';
      if (row.state !== 'uncertain') return 'not_uncertain';
      const pk = row.pk as number;
      const obstacle = outcome === 'retry' ? whyNoRetry(row) : undefined;
      if (obstacle !== undefined) return obstacle;
      const detail = { outcome, ...(reason === undefined ? {} : { reason }) };
      note(pk, 'resolved', now, { ...detail, by: actor.kind });
      if (outcome === 'sent') settleAsSent(pk, now);
      else if (outcome === 'error') finish(pk, now, reason ?? GIVEN_UP);
      else sendAgain(row, now);
      append({ event: 'message.resolved', actor, tenantId, subject: id, detail }, now);
      return 'resolved';
    });
}
