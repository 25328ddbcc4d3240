import { DestinationRefused } from '../delivery/destination-guard.js';

/** Why a call failed, in words that hold nothing that was sent or received: errors of libraries may quote either. */
export function describeFailure(error: unknown): string {
  if (error instanceof DestinationRefused) return 'the host is on a private network';
  if (!(error instanceof Error)) return 'the call was cut off';
  if (error.name === 'TimeoutError') return 'no answer came in time';
  if (error.name === 'AbortError') return 'the call was cut off';
  const code = (error as { code?: unknown }).code;
  const isPlain = typeof code === 'string' && /^[A-Z][A-Z0-9_]{1,60}$/.test(code);
  return `the endpoint could not be reached (${isPlain ? code : error.name})`;
}
