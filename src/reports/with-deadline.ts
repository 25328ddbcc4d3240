import type { Millis } from '../core/types.js';

/**
 * Runs something that may take so long and no longer, and ends with `stop`. What it listened to is let go of afterwards: `stop` lives as
 * long as the process.
 */
export async function withDeadline<T>(
  stop: AbortSignal,
  most: Millis,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = (): void => controller.abort(stop.reason);
  const timer = setTimeout(() => controller.abort(new DOMException('Too late', 'TimeoutError')), most);
  stop.addEventListener('abort', abort, { once: true });
  if (stop.aborted) abort();
  try {
    return await work(controller.signal);
  } finally {
    clearTimeout(timer);
    stop.removeEventListener('abort', abort);
  }
}
