import type { Explanation } from '../core/hold.js';
import type { Message } from '../core/types.js';
import type { ServiceContext } from '../services/context.js';
import type { ServerReference } from './servers.js';

/** Finds a message and what holds it; when no daemon sends, that too. @throws like {@link explainOf}. */
export async function explainHere(
  server: ServerReference,
  context: ServiceContext,
  tenant: string,
  id: string,
): Promise<{ message: Message; hold: Explanation }> {
  const { serverStatus } = await import('../services/server-status.js');
  const { explainOf } = await import('../services/explain-message.js');
  const { state } = serverStatus(server.name, server.directory, process.env, Date.now());
  const isInactive = (await context.store.settings.get('scheduler_active')) === 'false';
  const sending = state !== 'running' ? 'stopped' : isInactive ? 'inactive' : 'active';
  return await explainOf(context, tenant, id, sending);
}
