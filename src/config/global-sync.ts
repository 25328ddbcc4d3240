import { MailProxyError } from '../core/errors.js';
import type { SyncEndpoint } from '../core/sync-endpoint.js';

/**
 * The global endpoint for reports, from `GMP_CLIENT_SYNC_URL`, `…_TOKEN`, `…_USER` and `…_PASSWORD`.
 *
 * @throws MailProxyError `usage`, naming the variable that is not understood and never its value.
 */
export function globalSyncFrom(env: Readonly<Record<string, string | undefined>>): SyncEndpoint | undefined {
  const url = env.GMP_CLIENT_SYNC_URL;
  if (url === undefined || url === '') return undefined;
  if (!isEndpoint(url)) {
    throw new MailProxyError(
      'usage',
      'GMP_CLIENT_SYNC_URL must be an http or https URL without user, password or fragment: credentials go into GMP_CLIENT_SYNC_TOKEN, or GMP_CLIENT_SYNC_USER and GMP_CLIENT_SYNC_PASSWORD.',
    );
  }
  const token = env.GMP_CLIENT_SYNC_TOKEN || undefined;
  if (token !== undefined) return { url, auth: { method: 'bearer', token } };
  const user = env.GMP_CLIENT_SYNC_USER || undefined;
  if (user === undefined) return { url, auth: { method: 'none' } };
  return { url, auth: { method: 'basic', user, password: env.GMP_CLIENT_SYNC_PASSWORD ?? '' } };
}

function isEndpoint(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, username, password, hash } = new URL(text);
  return (protocol === 'http:' || protocol === 'https:') && username === '' && password === '' && hash === '';
}
