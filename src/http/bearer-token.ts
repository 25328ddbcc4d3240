import type { AppContext } from './app-env.js';
import { requestHeader } from './request-header.js';

/** The token of `Authorization: Bearer`; undefined for any other scheme or none. */
export function bearerToken(c: AppContext): string | undefined {
  return /^bearer +(\S.*)$/i.exec(requestHeader(c, 'authorization') ?? '')?.[1]?.trimEnd();
}
