import { MailProxyError } from '../core/errors.js';
import { askConfirmation, canPrompt } from './prompts.js';

/**
 * Asks before something is lost.
 *
 * @throws MailProxyError `usage` when nobody can be asked and `force` is not set, `cancelled` when the answer is no.
 */
export async function confirmOrRefuse(question: string, force: boolean | undefined): Promise<void> {
  if (force === true) return;
  if (!canPrompt())
    throw new MailProxyError('usage', 'This cannot be undone and nobody can be asked here: add --force.');
  if (!(await askConfirmation(question))) throw new MailProxyError('cancelled', 'Nothing was changed.');
}
