/** Longest piece of somebody's input that a sentence repeats, in UTF-16 units. */
const EXCERPT_LENGTH = 80;

/**
 * Characters that act on a terminal or reorder text: C0 and C1 controls, DEL, bidirectional marks and
 * overrides, line and paragraph separators, byte order marks and lone surrogates.
 */
const UNSAFE = /[\p{Cc}\p{Cs}\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/gu;

/**
 * Shows the beginning of untrusted text inside a sentence: at most 80 characters, every control or bidirectional
 * character replaced by `?`, in double quotes. Never use it for a field that may hold a secret.
 */
export function excerpt(text: string): string {
  const head = text.slice(0, EXCERPT_LENGTH).replace(UNSAFE, '?');
  return text.length > EXCERPT_LENGTH ? `"${head}…"` : `"${head}"`;
}
