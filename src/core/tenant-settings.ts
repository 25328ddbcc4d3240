import { type FieldIssue, MailProxyError } from './errors.js';
import type { Tenant, UncertainPolicy } from './types.js';

/** Everything about a tenant that is set, its secrets apart. */
export type TenantSettings = Omit<Tenant, 'id' | 'hasWebhookSecret' | 'createdAt' | 'updatedAt'>;

/** How the tenant's endpoint is authenticated with. */
export type ClientAuthInput =
  | { method: 'none' }
  | { method: 'bearer'; token: string }
  | { method: 'basic'; user: string; password: string };

/** What a caller said; undefined is "not said", null is "none". */
export interface TenantInput {
  name?: string | undefined;
  active?: boolean | undefined;
  clientBaseUrl?: string | null | undefined;
  clientSyncPath?: string | undefined;
  clientAttachmentPath?: string | undefined;
  clientAuth?: ClientAuthInput | undefined;
  webhookSecret?: string | undefined;
  limitHourly?: number | null | undefined;
  limitDaily?: number | null | undefined;
  onUncertain?: UncertainPolicy | undefined;
  useGlobalSync?: boolean | undefined;
  attachmentRoots?: string[] | undefined;
}

const DEFAULT_SYNC_PATH = '/mail-proxy/sync';
const DEFAULT_ATTACHMENT_PATH = '/mail-proxy/attachments';

/**
 * Works out the full settings of a tenant from what was said and, when it is changed, what it was.
 *
 * @throws MailProxyError `validation_failed` with one issue per field.
 */
export function resolveTenantSettings(
  id: string,
  input: TenantInput,
  current?: TenantSettings,
): TenantSettings {
  const issues: FieldIssue[] = [];
  const problem = (path: string, message: string): void => {
    issues.push({ path, message });
  };
  const name = input.name ?? current?.name ?? id;
  if (name.trim() === '' || name.length > 200 || hasControl(name)) {
    problem('name', 'A name is 1 to 200 characters without control characters.');
  }
  const baseUrl = input.clientBaseUrl === undefined ? (current?.clientBaseUrl ?? null) : input.clientBaseUrl;
  if (baseUrl !== null && !isBaseUrl(baseUrl)) {
    problem('client_base_url', 'This is an http or https URL without user, password, query or fragment.');
  }
  const path = (
    field: string,
    said: string | undefined,
    was: string | undefined,
    fallback: string,
  ): string => {
    const value = said ?? was ?? fallback;
    if (!/^\/[\x21-\x7e]{0,500}$/.test(value)) problem(field, 'A path begins with "/" and has no spaces.');
    return value;
  };
  const limit = (
    field: string,
    said: number | null | undefined,
    was: number | null | undefined,
  ): number | null => {
    const value = said === undefined ? (was ?? null) : said;
    if (value !== null && (!Number.isInteger(value) || value < 0 || value > 1_000_000_000))
      problem(field, 'A limit is a whole number; 0 is none.');
    return value === 0 ? null : value;
  };
  const roots = input.attachmentRoots ?? current?.attachmentRoots ?? [];
  for (const [i, root] of roots.entries()) {
    if (!root.startsWith('/') || hasControl(root))
      problem(`attachment_roots.${i}`, 'A root is an absolute path.');
  }
  const settings: TenantSettings = {
    name,
    active: input.active ?? current?.active ?? true,
    clientBaseUrl: baseUrl,
    clientSyncPath: path(
      'client_sync_path',
      input.clientSyncPath,
      current?.clientSyncPath,
      DEFAULT_SYNC_PATH,
    ),
    clientAttachmentPath: path(
      'client_attachment_path',
      input.clientAttachmentPath,
      current?.clientAttachmentPath,
      DEFAULT_ATTACHMENT_PATH,
    ),
    clientAuthMethod: input.clientAuth?.method ?? current?.clientAuthMethod ?? 'none',
    clientAuthUser:
      input.clientAuth === undefined
        ? (current?.clientAuthUser ?? null)
        : input.clientAuth.method === 'basic'
          ? input.clientAuth.user
          : null,
    limitHourly: limit('rate_limits.hourly', input.limitHourly, current?.limitHourly),
    limitDaily: limit('rate_limits.daily', input.limitDaily, current?.limitDaily),
    onUncertain: input.onUncertain ?? current?.onUncertain ?? 'retry',
    useGlobalSync: input.useGlobalSync ?? current?.useGlobalSync ?? false,
    attachmentRoots: roots,
  };
  if (issues.length > 0) {
    const first = issues[0] as FieldIssue;
    throw new MailProxyError(
      'validation_failed',
      `The tenant is not valid: ${first.path}: ${first.message}`,
      { issues },
    );
  }
  return settings;
}

/** Whether two settings send the callback credential to the same place. */
export function sameCallback(a: TenantSettings, b: TenantSettings): boolean {
  return (
    a.clientBaseUrl === b.clientBaseUrl &&
    a.clientSyncPath === b.clientSyncPath &&
    a.clientAttachmentPath === b.clientAttachmentPath
  );
}

function isBaseUrl(text: string): boolean {
  // The paths are appended to the text as it stands, so that a bare "?" or "#" would swallow them.
  if (text.length > 1000 || !/^https?:\/\/[^\s?#\\]+$/i.test(text) || hasControl(text) || !URL.canParse(text))
    return false;
  const url = new URL(text);
  return (
    (url.protocol === 'http:' || url.protocol === 'https:') &&
    url.username === '' &&
    url.password === '' &&
    url.search === '' &&
    url.hash === ''
  );
}

function hasControl(text: string): boolean {
  return [...text].some((c) => c < ' ' || (c >= '\u007f' && c <= '\u009f'));
}
