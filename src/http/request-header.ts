import type { AppContext } from './app-env.js';

/**
 * A header of the request, from Node's own parsed ones where there are any: the standard's `Headers` object takes longer to make
 * than a small request takes otherwise.
 *
 * @param name - In lower case.
 */
export function requestHeader(c: AppContext, name: string): string | undefined {
  const headers = c.env?.incoming?.headers;
  if (headers === undefined) return c.req.header(name);
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}
