import type { Middleware } from '../app-env.js';

const HEADERS: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
};

/**
 * Makes the middleware that keeps browsers from guessing types, storing answers and framing pages. There are no CORS
 * headers, so that no foreign page reads an answer. A handler may set any of these for itself.
 */
export function securityHeaders(headers: Readonly<Record<string, string>> = HEADERS): Middleware {
  return async function setSecurityHeaders(c, next) {
    for (const [name, value] of Object.entries(headers)) c.header(name, value);
    await next();
  };
}
