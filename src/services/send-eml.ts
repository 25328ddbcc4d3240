import { randomUUID } from 'node:crypto';
import { prepareEml } from '../core/eml.js';
import { MailProxyError } from '../core/errors.js';
import { MAX_MESSAGE_BYTES, MAX_MESSAGE_SIZE } from '../core/limits.js';
import { DEFAULT_LIFETIME } from '../core/message-parts.js';
import { requirePrintable } from '../core/printable.js';
import type { Millis, Priority } from '../core/types.js';
import { tenantScope } from '../store/scope.js';
import type { ServiceContext } from './context.js';

/** What may be said beside the file. */
export interface SendOptions {
  id?: string | undefined;
  accountId?: string | undefined;
  from?: string | undefined;
  to?: string[] | undefined;
  priority: Priority;
  deferredAt?: Millis | undefined;
  batchCode?: string | undefined;
}

/** The message as it was queued. */
export interface SentEml {
  id: string;
  from: string;
  recipients: string[];
  messageId: string;
  /** Header fields that the file lacked and that were added. */
  added: string[];
}

/**
 * Queues a ready-made message: its bytes are delivered as they are but for line ends and `Bcc`.
 *
 * @throws MailProxyError `validation_failed` for a file that is no message, `account_not_found`, `already_exists` for an
 * id in use, `tenant_not_found`.
 */
export async function sendEml(
  context: Pick<ServiceContext, 'store' | 'now'>,
  tenantId: string,
  bytes: Buffer,
  options: SendOptions,
): Promise<SentEml> {
  if (bytes.length > MAX_MESSAGE_BYTES) {
    throw new MailProxyError('body_too_large', `The message is larger than ${MAX_MESSAGE_SIZE}.`);
  }
  requirePrintable('id', options.id);
  requirePrintable('batch code', options.batchCode);
  const now = context.now();
  const prepared = prepareEml(bytes, {
    ...(options.from === undefined ? {} : { from: options.from }),
    ...(options.to === undefined ? {} : { to: options.to }),
  });
  const id = options.id ?? randomUUID();
  const [result] = await context.store.queue.enqueue(
    tenantScope(tenantId),
    [
      {
        id,
        accountId: options.accountId,
        envelope: prepared.envelope,
        contentKind: 'raw',
        content: prepared.bytes,
        subject: prepared.subject,
        priority: options.priority,
        deferredAt: options.deferredAt,
        expiresAt: Math.max(options.deferredAt ?? now, now) + DEFAULT_LIFETIME,
        batchCode: options.batchCode,
      },
    ],
    now,
  );
  if (result !== undefined && !result.queued) {
    const { code, reason } = result.rejection;
    throw new MailProxyError(
      code === 'unknown_account' || code === 'no_account' ? 'account_not_found' : 'already_exists',
      reason,
    );
  }
  return {
    id,
    from: prepared.envelope.from,
    recipients: prepared.envelope.to,
    messageId: prepared.messageId,
    added: prepared.added,
  };
}
