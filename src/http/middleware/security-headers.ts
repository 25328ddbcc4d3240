import type { Middleware } from '../app-env.js';

/** What every answer says to browsers. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
};

/**
 * Makes the middleware that keeps browsers from guessing types, storing answers and framing pages. There are no CORS
 * headers, so that no foreign page reads an answer. A handler may set any of these for itself; an answer that was made with all
 * of them says so, and is left alone.
 */
export function securityHeaders(): Middleware {
  return async function setSecurityHeaders(c, next) {
    await next();
    if (c.get('isSecured') === true) return;
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) {
      if (!c.res.headers.has(name)) c.header(name, value);
    }
  };
}
